"""Makes the answer of what was selected: its reply with its time and its faults, or the error in
its place.

A reply that is prepared is only looked up; one that is made for a request, or has a fault in a
stream that is rendered while it is sent, is a question, answered in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mockllm.config.wishes import FAULT, LATENCY, NO_WISHES, Wishes, has_wishes, read_wishes
from mockllm.engine import asking
from mockllm.engine.asked import Asked
from mockllm.engine.decision import (
    Answer,
    Decision,
    Match,
    Outcome,
    Planned,
    Question,
    Summary,
    Trouble,
    make_body,
)
from mockllm.engine.effects import NO_EFFECTS
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import (
    compile_faults,
    drawn,
    is_drawn,
    replace_reply,
    written_tokens,
)
from mockllm.engine.latency import compile_latency
from mockllm.engine.made_reply import MadeReplyError
from mockllm.engine.making import could_not_make, make_answer
from mockllm.engine.mocks import Table
from mockllm.engine.rendering import Renderer
from mockllm.engine.sources import (
    FixedSource,
    Selection,
    faults_of,
    needs_pieces,
    outline,
    with_cached,
)
from mockllm.engine.unmatched import near_miss_of
from mockllm.errors import RequestError
from mockllm.exchange import PAUSE, DividedBody, LazySteps, Request, Step
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt
from mockllm.providers.api import API
from mockllm.replies.fault_places import NoSuchPlaceError
from mockllm.replies.prepared import make_ready, make_ready_in_pieces
from mockllm.wire.tokens import estimate_prompt

MAX_SAYING_INPUT = 16_384  # responses that say the tokens of their prompts
_new = tuple.__new__  # half the time of the class's own constructor


class Responder:
    """Makes answers. `seed` is that of what is drawn at random; with `client_faults`, clients may
    ask for errors, faults and latency (`config.wishes`)."""

    def __init__(self, renderer: Renderer, *, seed: int, client_faults: bool) -> None:
        self._renderer = renderer
        self._seed = seed
        self._client_faults = client_faults
        # of the process
        self.work_clock: Callable[[], float] = lambda: 0.0
        """Tells the time that this thread has worked, in seconds; the default stands still."""
        self.needs_input: Callable[[API, Answer], bool] | None = None
        """Returns True if observers need the tokens of a prompt with this answer; None if there are
        no such observers."""
        self._says_input: dict[int, Mapping[str, Any]] = {}  # responses of which it returned False

    def answer(
        self, table: Table, asked: Asked, selection: Selection | RequestError
    ) -> Match | Decision | Question:
        """Return the match with the answer of the selected source, or with an error; the decision
        to send an answer that is made for this request, or the question if that takes long, or if
        its faults depend on chance."""
        if isinstance(selection, RequestError):
            return self.unmatched(table, asked.prompt, selection)
        faults, owner = self._faults_of(selection, asked)
        if not faults or not is_drawn(faults):
            return self._answered_with(table, asked, selection, faults)
        draw = asking.draw_for(owner, asked.request, asked.session, self._seed)

        def resume(results: Sequence[Any]) -> Decision | Question:
            happening = drawn(faults, results[0])
            return uncached(self._answered_with(table, asked, selection, happening))

        return Question((draw,), resume)

    def _answered_with(
        self, table: Table, asked: Asked, selection: Selection, faults: Planned
    ) -> Match | Decision | Question:
        """Return what `answer` does, with these faults in the reply."""
        if needs_pieces(selection.source):
            decide = partial(self._decide_made, table, asked, selection, faults)
            return make_answer(selection.source, asked, self.work_clock, decide)
        match = self.match(table, asked, selection)
        if not faults:
            if isinstance(match.reply.steps, DividedBody):
                return asking.begin(_decide_divided(match))
            return match
        if isinstance(match.reply.steps, (LazySteps, DividedBody)):
            return asking.begin(self._break(table, asked, selection, match, faults))
        return finish(self._broken(table, asked, selection, match, faults))

    def _decide_made(
        self,
        table: Table,
        asked: Asked,
        selection: Selection,
        faults: Planned,
        made: Answer | MadeReplyError,
    ) -> Pieces[Decision]:
        """Return the decision to send the answer that was `made` for one request, in pieces."""
        if isinstance(made, MadeReplyError):
            return self._failed_decision(table, asked.prompt, selection, made)
        answer, felt, kinds = self._adapted(table, asked, made)
        if answer.is_large:
            answer = yield from self._renderer.complete(table, selection, answer)
        match = self._match(table, asked, selection, answer, felt, kinds)
        if made.failure is not None and asked.effects.fault is not None:
            happening, _ = faults_of(selection, asked.effects, made)  # of an error
            faults = tuple(each for each in faults if each in happening)
        if not faults:
            return (yield from _decide_divided(match))
        return (yield from self._break(table, asked, selection, match, faults))

    def _break(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Pieces[Decision]:
        """Return the decision to send a reply with faults, with pauses. A stream that is rendered
        while it is sent is rendered before, because a fault may be at its end."""
        yield from make_body(match.reply)
        steps: list[Step] = []
        for step in match.reply.steps:
            if step != PAUSE:
                steps.append(step)
            yield False
        yield True  # to copy a million steps takes 5 ms
        match = match._replace(reply=replace(match.reply, steps=tuple(steps)), reusable=False)
        return Decision.by((yield from self._broken(table, asked, selection, match, faults)))

    def _broken(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Pieces[Match]:
        """Return `match` with faults in its reply, with pauses, or with the error that it does not
        have the place of one: a client's mistake if that has asked for it, else the author's."""
        api, model, reply = table.api, asked.prompt.model, match.reply
        tokens = 0 if match.answer is None else written_tokens(api, match.answer.response)
        try:
            broken = yield from self._renderer.break_reply(
                api, match.reply, faults, model, api.failures, tokens
            )
        except NoSuchPlaceError as exc:
            _, owner = self._faults_of(selection, asked)
            is_wish = self._client_faults and FAULT in asked.request.first_values
            if is_wish or owner is None:
                wrong = RequestError(400, f"{FAULT.decode()}: {exc}", code="invalid_wish")
                return self.refuse(table, wrong)._replace(reusable=False)
            reply = self._renderer.no_such_place(api, owner, exc)
            trouble = Trouble(f"{owner.label}: fault", str(exc))
            failed = replace_reply(match, make_ready(reply), faults)
            return failed._replace(outcome=Outcome.FAILED, trouble=trouble)
        match = replace_reply(match, (yield from make_ready_in_pieces(broken)), faults)
        fault = asked.effects.fault
        if fault is None or self._faults_of(selection, asked)[1] is not fault.rule:
            return match
        felt = dict.fromkeys((*match.traffic, fault.rule.label))  # each entry once
        return match._replace(traffic=tuple(felt))

    def _failed_decision(
        self, table: Table, prompt: Prompt, selection: Selection, error: MadeReplyError
    ) -> Decision:
        """Return the decision to report that an answer could not be made."""
        assert selection.rule is not None
        refusal, trouble = could_not_make(selection.rule, error)
        reply, ready = make_ready(self._renderer.render_error(table.api, refusal))
        summary = Summary.of(prompt)
        match = Match(Outcome.FAILED, reply, ready, selection.rule, summary, trouble=trouble)
        return Decision.by(match)

    def unmatched(self, table: Table, prompt: Prompt, error: RequestError) -> Match:
        """Return the match with the error of a prompt that nothing answers."""
        reply, ready = make_ready(self._renderer.render_error(table.api, error))
        return Match(
            Outcome.UNMATCHED,
            reply,
            ready,
            summary=Summary.of(prompt),
            reusable=True,
            near_miss=near_miss_of(error),
        )

    def match(self, table: Table, asked: Asked, selection: Selection) -> Match:
        """Return the match with the answer of the selected source, without its faults."""
        adapted = self._adapted(table, asked, selection.source.answer(asked.prompt))
        return self._match(table, asked, selection, *adapted)

    def _adapted(
        self, table: Table, asked: Asked, answer: Answer
    ) -> tuple[Answer, tuple[str, ...], tuple[str, ...]]:
        """Return `answer` as it is to this request, with the labels of the entries of traffic that
        have changed it, and the kinds of what its client has asked for."""
        prompt, effects = asked.prompt, asked.effects
        headers = asked.request.first_values
        felt: tuple[str, ...] = ()
        if effects is not NO_EFFECTS:
            answer, felt = effects.pace(answer)
        kinds: tuple[str, ...] = ()
        if self._client_faults and has_wishes(headers):
            wishes = read_wishes(headers)
            kinds = wishes.kinds
            if wishes.pace is not None:
                pace = compile_latency(wishes.pace, LATENCY.decode())
                answer = answer._replace(pace=pace)
                felt = felt if effects.error is not None else ()
        if answer.pace is not None and answer.pace.cached:
            answer = with_cached(table.api, answer, prompt)
        return answer, felt, kinds

    def _match(
        self,
        table: Table,
        asked: Asked,
        selection: Selection,
        answer: Answer,
        felt: tuple[str, ...],
        kinds: tuple[str, ...],
    ) -> Match:
        """Return the match with an `answer` that is adapted to its request."""
        prompt = asked.prompt
        source, rule, reusable, _ = selection
        input_tokens = None
        if self.needs_input is not None and (
            answer.number is None or self.counts_input(table.api, answer)
        ):  # those of an answer that is made are filled in, too
            input_tokens = estimate_prompt(prompt.body)
        reply, ready = self._renderer.reply_to(table, selection, answer, prompt, input_tokens)
        values = (prompt.endpoint, prompt.model, prompt.options.stream, input_tokens or 0)
        summary = _new(Summary, values)
        reusable = reusable and not isinstance(reply.steps, LazySteps)
        said = answer if answer.failure is None else None
        outcome = source.outcome
        first = (outcome, reply, ready, rule, summary, said, reusable)
        return _new(Match, (*first, None, None, felt, kinds, False))

    def counts_input(self, api: API, answer: Answer) -> bool:
        """Return True if observers need the tokens of a prompt with this answer."""
        response, needs_input = answer.response, self.needs_input
        if needs_input is None or self._says_input.get(id(response)) is response:
            return False
        if needs_input(api, answer):
            return True
        if len(self._says_input) >= MAX_SAYING_INPUT:
            self._says_input.clear()
        self._says_input[id(response)] = response
        return False

    def refuse(self, table: Table, error: RequestError) -> Match:
        """Return the match of an invalid request, which is valid for every equal request."""
        reply, ready = make_ready(self._renderer.render_error(table.api, error))
        trouble = Trouble("", str(error))
        return Match(Outcome.REFUSED, reply, ready, reusable=True, trouble=trouble)

    def wishes_of(self, request: Request) -> Wishes:
        """Return what the client of a request asks for; nothing if clients may not ask.

        Raises:
            RequestError: 400, the client asks for what no mock could have.
        """
        return read_wishes(request.first_values) if self._client_faults else NO_WISHES

    def wished(self, table: Table, request: Request) -> Selection | None:
        """Return the error that the client of a request asks for, as the source of its answer.

        Raises:
            RequestError: 400, the client asks for what no mock could have.
        """
        if not self._client_faults:
            return None
        error = read_wishes(request.first_values).failure
        if error is None:
            return None
        answer = failed_answer(table.api, compile_error(error), table.chunk)
        answer = answer._replace(has_own_pace=True)
        source = FixedSource(answer, Outcome.ASKED_FOR, reusable=False)
        return Selection(source, None, reusable=False)

    def _faults_of(self, selection: Selection, asked: Asked) -> tuple[Planned, Rule | None]:
        """Return the faults that the client asks for, else those of what was selected, else those
        of traffic, with the rule of the mock or the entry that has them."""
        if self._client_faults and (wished := read_wishes(asked.request.first_values).faults):
            return compile_faults(wished), selection.rule
        if asked.effects.fault is None:
            return selection.source.faults, selection.rule
        answer = outline(selection.source, asked.prompt)
        return faults_of(selection, asked.effects, answer)


def _decide_divided(match: Match) -> Pieces[Decision]:
    """Return the decision to send the reply of `match`, whose body is made in pieces if it is
    large."""
    yield from make_body(match.reply)
    return Decision.by(match)


def uncached(match: Match | Decision | Question) -> Decision | Question:
    """Return the decision by a match that is not cached."""
    if not isinstance(match, Match):
        return match
    return Decision.by(match._replace(reusable=False) if match.reusable else match)
