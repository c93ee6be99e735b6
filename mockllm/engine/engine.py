"""Decides one request of a mocked API.

`Engine.decide` is a plain function: no socket, no clock, no await. It authenticates, decodes and
validates the request, finds the source of the answer, and returns its reply. A reply is prepared
when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mockllm.config.wishes import FAULT, has_wishes, read_wishes
from mockllm.engine import asking
from mockllm.engine.batches import (
    SelectedInputs,
    join_answers,
    match_inputs,
)
from mockllm.engine.decision import (
    Answer,
    Decision,
    DividedWork,
    Match,
    Outcome,
    Planned,
    Question,
    Summary,
    Trouble,
    finish,
)
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import (
    compile_faults,
    drawn,
    is_drawn,
    replace_reply,
    written_tokens,
)
from mockllm.engine.loading import Loaded
from mockllm.engine.made_reply import MadeReplyError
from mockllm.engine.making import could_not_make, is_made, make_answer
from mockllm.engine.match_cache import MAX_ENTRY, MatchCache
from mockllm.engine.mocks import SHARED, Table
from mockllm.engine.parts import choose_for_parts
from mockllm.engine.rendering import MAX_STEPS_AT_ONCE, Renderer
from mockllm.engine.sources import (
    FixedSource,
    GeneratedSource,
    ScriptedSource,
    Selection,
    Source,
    entries_of,
)
from mockllm.engine.template_values import Asked
from mockllm.engine.unmatched import UnmatchedError, near_miss_of, none_left
from mockllm.errors import Place, RequestError
from mockllm.exchange import LazySteps, PoolRule, Request, Step
from mockllm.matching.index import is_reusable
from mockllm.matching.readings import in_pieces
from mockllm.matching.rule import Rule
from mockllm.prompt import NOT_STREAMED, Earlier, Prompt
from mockllm.providers import normalise
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.replies.cors import CORS
from mockllm.replies.faults import NoSuchPlaceError
from mockllm.replies.prepared import make_ready
from mockllm.state.choosing import Choice, Chosen, Exhausted, NoneLeft
from mockllm.state.sessions import COMMON
from mockllm.state.store import SessionEnded

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MESSAGES_AT_ONCE = 2_000  # of a conversation that is read without a pause: 5 to 10 ms
MAX_UNDIVIDED = 1024  # bytes of a request that is never divided; it has no room for 400 inputs
MAX_INPUTS_AT_ONCE = 64  # of one request; each takes up to 20 µs, and 2,048 are allowed
MAX_PREPARED_EARLY = 1_000  # answers; of more, each is prepared when it is first needed

Echo = Callable[[Prompt], str]
"""Returns the text of the answer to a prompt that no mock matches."""

FindEarlier = Callable[[str], Earlier | None]
"""Returns the conversation that ends with the response with this id; None if it is not known."""


def find_nothing(response_id: str) -> None:
    """Know no response."""


class Engine:
    """Decides requests by one configuration. Its only mutable state is caches: of prepared replies
    and, with `reuse`, of the matches of repeated requests."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        echo: Echo | None = None,
        models: tuple[str, ...] = (),
        reuse: bool = True,
        quick_retries: bool = False,
        client_faults: bool = False,
    ) -> None:
        self.tables = loaded.tables
        """The mocks of each API."""
        self.warnings = loaded.warnings
        """Problems of the configuration that do not prevent serving it."""
        self.listed_models = loaded.models
        """The models of the configuration, which are listed before those that the mocks name."""
        self.models = models
        """Models that are listed behind those that the mocks name."""
        self.require_auth = loaded.require_auth
        self.seed = loaded.seed
        """The seed of what is drawn at random."""
        self.session_setting = loaded.session
        """Names the session of requests that name none themselves."""
        self.cors = CORS(allowed=loaded.cors)
        """Adds the CORS headers to every reply, if the configuration allows them."""
        self.renderer = Renderer(self.cors, quick_retries=quick_retries)
        """Renders the replies, and keeps those that are prepared."""
        self.reuses = reuse
        """True if repeated requests are answered from caches, here and in `http1.head_cache`."""
        self.match_cache = MatchCache() if reuse else None
        """The matches of repeated requests; None without `reuse`."""
        self.work_clock: Callable[[], float] = lambda: 0.0
        """Tells the time that this thread has worked, in seconds; the default stands still."""
        self.chunk = loaded.chunk
        """The size of text deltas of mocks that do not set their own."""
        self.strict_requests = loaded.strict_requests
        """True if requests that the SDK's types do not allow are rejected."""
        self._client_faults = client_faults
        self._echo = echo
        self.pace = loaded.pace
        """How long answers take, unless a mock says so itself."""
        self._by_name = {table.api.name: table for table in loaded.tables}

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of mocks in each list, by the list's name. ``mocks`` is there if it has
        some."""
        own = {name: len(table.mocks) - table.shared for name, table in self._by_name.items()}
        shared = max(table.shared for table in self.tables)
        return {**own, SHARED: shared} if shared else own

    @property
    def stateful_mocks(self) -> Mapping[str, Place]:
        """The places of the mocks with state, by the keys of their state."""
        return {
            source.candidate.key: place
            for table in self.tables
            for index, place in enumerate(table.places)
            if isinstance(source := table.sources[index], ScriptedSource)
        }

    @property
    def pools(self) -> Collection[PoolRule]:
        """The pools of all latencies of the configuration, each once."""
        answers = (
            entry.fixed
            for table in self.tables
            for rule in table.index.rules
            for entry in entries_of(table.sources[rule.index])
        )
        paces = [self.pace, *(answer.pace for answer in answers)]
        return dict.fromkeys(pace.pacing.pool for pace in paces if pace is not None)

    def table(self, name: str) -> Table:
        """Return the mocks of the API called `name` (``openai``); a KeyError if there is no such
        API."""
        return self._by_name[name]

    def warm(self) -> None:
        """Prepare the replies to requests without streaming, so that forked processes share them.
        Without effect if mocks have more than `MAX_PREPARED_EARLY` answers."""
        answers = [
            (table, rule, source.fixed)
            for table in self.tables
            for rule in table.index.rules
            for source in entries_of(table.sources[rule.index])
        ]
        if len(answers) <= MAX_PREPARED_EARLY:
            for table, rule, answer in answers:
                if answer.failure is None and answer.number is not None:
                    self.renderer.prepare(table, rule, answer, NOT_STREAMED)

    def decide(
        self,
        table: Table,
        request: Request,
        values: Values = NO_VALUES,
        find_earlier: FindEarlier = find_nothing,
        *,
        session: str = COMMON,
    ) -> Decision | Question:
        """Return the decision on a `request` to the API of `table`; `values` are those of its path.
        If a mock with state matches, return the question which mock of this `session` answers.
        `find_earlier` is asked only if a mock depends on what the request continues. Nothing that a
        client sends makes this raise: an invalid request gets an error reply."""
        try:
            table.api.vendor.authenticate(request, self.require_auth)
        except RequestError as exc:
            return Decision.by(self._refusal(table, exc))
        if (
            self.match_cache is None
            or len(request.body) > MAX_ENTRY
            or (self._client_faults and has_wishes(request.first_values))
        ):
            match = self._match_anew(table, request, values, find_earlier, session)
            return Decision.by(match) if isinstance(match, Match) else match
        lines = map(request.first_values.get, table.index.header_names)
        # `values` are part of the path
        key = (table.version, request.path, request.body, *lines)
        known = self.match_cache.get(key)
        if known is None:
            match = self._match_anew(table, request, values, find_earlier, session)
            if not isinstance(match, Match):
                return match
            known = match
            if known.reusable:
                self.match_cache.offer(key, known)
        return _new(Decision, (known, known.reply, known.ready, COMMON))

    def match(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Selection | UnmatchedError:
        """Return the source that answers `prompt`, which has one input: the first matching mock,
        else the echo or the generator of the API; if there is none, the 404 that names the closest
        mock. Of a mock with state, it is the source before anything is chosen. Pure: renders
        nothing and changes no state."""
        selection = self._match_all(table, prompt, headers)
        assert not isinstance(selection, SelectedInputs)
        return selection

    def _match_all(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Selection | SelectedInputs | UnmatchedError:
        """Return the source that answers `prompt` (`match`); the sources of its inputs, if some of
        these are answered by mocks with state."""
        selection = self._select(table, prompt, headers)
        if selection is not None and table.api.batch is None:
            return selection
        answered: Selection | SelectedInputs | UnmatchedError = finish(
            match_inputs(table, prompt, headers, selection)
        )
        return answered

    def _select(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Selection | None:
        candidates = table.index.candidates(prompt, headers)
        if candidates:
            rule = candidates[0]
            source = table.sources[rule.index]
            if not is_reusable(candidates):
                return Selection(source, rule, reusable=False, candidates=candidates)
            return _new(Selection, (source, rule, source.reusable, ()))
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, fallback.reusable)
        return None

    def chosen(
        self, table: Table, prompt: Prompt, rules: Sequence[Rule], result: Any
    ) -> Selection | RequestError:
        """Return the source of what a store has chosen among `rules` (`asking.choice_among`), or
        the error of its refusal."""
        match result:
            case Chosen(place, entry):
                rule = rules[place]
                source = table.sources[rule.index]
                if isinstance(source, ScriptedSource):
                    source = source.entries[entry]
                return Selection(source, rule, reusable=False)
            case Exhausted(place):
                return asking.exhausted(rules[place], result)
            case SessionEnded():
                return asking.session_ended(result)
        assert isinstance(result, NoneLeft)
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, reusable=False)
        return none_left(table, rules, prompt)

    def _match_anew(
        self,
        table: Table,
        request: Request,
        values: Values,
        find_earlier: FindEarlier,
        session: str,
    ) -> Match | Decision | Question:
        """Match a request without the cache. A match depends only on the path, the body and the
        headers that rules compare, the key of the cache, unless it depends on what `find_earlier`
        finds. What else it depends on is a question, and an answer that is made for this request a
        decision."""
        try:
            prompt = table.api.decode(request, values)
            size = len(request.body)
            if size > MAX_UNDIVIDED and (size > MAX_ENTRY or _has_much_to_match(table, prompt)):
                work = self._match_in_pieces(table, request, prompt, find_earlier, session)
                return Question((DividedWork(work),), lambda results: results[0])
            table.validate(prompt)
            wished = self._wished(table, request)
        except RequestError as exc:
            return self._refusal(table, exc)
        if wished is not None:
            return self._answered(table, Asked(prompt, request, session), wished)
        looks_back = self._look_back(table, prompt, find_earlier)
        selection = self._match_all(table, prompt, request.first_values)
        if isinstance(selection, SelectedInputs):
            return self._choose_for_inputs(table, request, prompt, selection, session)
        if isinstance(selection, Selection) and selection.candidates:
            return self._choose(table, request, prompt, selection.candidates, session)
        match = self._answered(table, Asked(prompt, request, session), selection)
        if looks_back and isinstance(match, Match):
            return match._replace(reusable=False)
        return match

    def _match_in_pieces(
        self,
        table: Table,
        request: Request,
        prompt: Prompt,
        find_earlier: FindEarlier,
        session: str,
    ) -> Generator[bool, None, Decision | Question]:
        """Do what `_match_anew` does after decoding, with pauses (`Pieces`)."""
        yield True
        try:
            table.validate(prompt)
            wished = self._wished(table, request)
        except RequestError as exc:
            return Decision.by(self._refusal(table, exc))
        if wished is not None:
            return _uncached(self._answered(table, Asked(prompt, request, session), wished))
        yield True
        self._look_back(table, prompt, find_earlier)
        yield from in_pieces(prompt, table.index.readings)
        headers = request.first_values
        whole = self._select(table, prompt, headers)
        yield True
        selection = yield from match_inputs(table, prompt, headers, whole)
        yield True
        if isinstance(selection, SelectedInputs):
            return self._choose_for_inputs(table, request, prompt, selection, session)
        if isinstance(selection, Selection) and selection.candidates:
            return self._choose(table, request, prompt, selection.candidates, session)
        return _uncached(self._answered(table, Asked(prompt, request, session), selection))

    def _wished(self, table: Table, request: Request) -> Selection | None:
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
        source = FixedSource(answer, Outcome.ASKED_FOR, reusable=False)
        return Selection(source, None, reusable=False)

    def _faults_of(self, selection: Selection, request: Request) -> Planned:
        """Return the faults that the client asks for, else those of what was selected."""
        if self._client_faults and (wished := read_wishes(request.first_values).faults):
            return compile_faults(wished)
        return selection.source.faults

    def _look_back(self, table: Table, prompt: Prompt, find_earlier: FindEarlier) -> bool:
        """Find what `prompt` continues, if a mock depends on it. Returns True if one does."""
        looks_back = table.looks_back and prompt.readers.continues(prompt.body)
        if looks_back:
            prompt.earlier = find_earlier(normalise.text(prompt.body.get("previous_response_id")))
        return looks_back

    def _choose(
        self,
        table: Table,
        request: Request,
        prompt: Prompt,
        rules: Sequence[Rule],
        session: str,
    ) -> Question:
        """Return the question which mock of `rules` answers."""

        def resume(results: Sequence[Any]) -> Decision | Question:
            chosen = self.chosen(table, prompt, rules, results[0])
            number = results[0].number if isinstance(results[0], Chosen) else 0
            return _uncached(self._answered(table, Asked(prompt, request, session, number), chosen))

        return Question((asking.choice_among(table, rules, request, session),), resume)

    def _choose_for_inputs(
        self,
        table: Table,
        request: Request,
        prompt: Prompt,
        selected: SelectedInputs,
        session: str,
    ) -> Decision | Question:
        """Return the question which mocks answer the inputs of `prompt`."""

        def resume(choices: Sequence[Choice] | RequestError) -> Decision | Question:
            if isinstance(choices, RequestError):
                return Decision.by(self._matched(table, prompt, choices))
            chosen: list[Selection] = []
            for each, selection, choice in zip(*selected[:2], choices, strict=True):
                rules = selection.candidates
                found = self.chosen(table, each, rules, choice) if rules else selection
                if isinstance(found, RequestError):
                    return Decision.by(self._matched(table, each, found))
                chosen.append(found)
            work = self._join(table, request, prompt, selected._replace(selections=chosen), session)
            if prompt.inputs > MAX_INPUTS_AT_ONCE:
                return Question((DividedWork(work),), lambda results: results[0])
            decided: Decision | Question = finish(work)
            return decided

        parts = [selection.candidates for selection in selected.selections]
        return choose_for_parts(table, parts, request, session, resume)

    def _join(
        self,
        table: Table,
        request: Request,
        prompt: Prompt,
        chosen: SelectedInputs,
        session: str,
    ) -> Generator[bool, None, Decision | Question]:
        """Return the decision with the answers to all inputs, with pauses (`Pieces`)."""
        assert table.api.batch is not None
        selection = yield from join_answers(table.api.batch, prompt, chosen)
        return _uncached(self._answered(table, Asked(prompt, request, session), selection))

    def _answered(
        self, table: Table, asked: Asked, selection: Selection | RequestError
    ) -> Match | Decision | Question:
        """Return the match with the answer of the selected source, or with an error; the decision
        to send an answer that is made for this request, or the question if that takes long, or if
        its faults depend on chance."""
        if isinstance(selection, RequestError):
            return self._matched(table, asked.prompt, selection)
        faults = self._faults_of(selection, asked.request)
        if not faults or not is_drawn(faults):
            return self._answered_with(table, asked, selection, faults)
        draw = asking.draw_for(selection.rule, asked.request, asked.session, self.seed)

        def resume(results: Sequence[Any]) -> Decision | Question:
            happening = drawn(faults, results[0])
            return _uncached(self._answered_with(table, asked, selection, happening))

        return Question((draw,), resume)

    def _answered_with(
        self, table: Table, asked: Asked, selection: Selection, faults: Planned
    ) -> Match | Decision | Question:
        """Return what `_answered` does, with these faults in the reply."""
        if is_made(selection.source):
            decide = partial(self._decide_made, table, asked, selection, faults)
            return make_answer(selection.source, asked, self.work_clock, decide)
        match = self._matched(table, asked.prompt, selection)
        if not faults:
            return match
        if isinstance(match.reply.steps, LazySteps):
            return asking.begin(self._break(table, asked, selection, match, faults))
        return self._broken(table, asked, selection, match, faults)

    def _decide_made(
        self,
        table: Table,
        asked: Asked,
        selection: Selection,
        faults: Planned,
        made: Answer | MadeReplyError,
    ) -> Generator[bool, None, Decision]:
        """Return the decision to send the answer that was `made` for one request, in pieces."""
        if isinstance(made, MadeReplyError):
            return self._failed_decision(table, asked.prompt, selection, made)
        match = self._matched(table, asked.prompt, selection, made)
        if not faults:
            return Decision.by(match)
        return (yield from self._break(table, asked, selection, match, faults))

    def _break(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Generator[bool, None, Decision]:
        """Return the decision to send a reply with faults. A stream that is rendered while it is
        sent is rendered before, in pieces, because a fault may be at its end."""
        steps: list[Step] = []
        for step in match.reply.steps:
            steps.append(step)
            if not len(steps) % MAX_STEPS_AT_ONCE:
                yield True
        match = match._replace(reply=replace(match.reply, steps=tuple(steps)), reusable=False)
        return Decision.by(self._broken(table, asked, selection, match, faults))

    def _broken(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Match:
        """Return `match` with faults in its reply, or with the error that it does not have the
        place of one: a client's mistake if that has asked for it, else the author's."""
        api, model, reply = table.api, asked.prompt.model, match.reply
        tokens = 0 if match.answer is None else written_tokens(api, match.answer.response)
        try:
            broken = self.renderer.break_reply(
                api, match.reply, faults, model, api.failures, tokens
            )
        except NoSuchPlaceError as exc:
            is_wish = self._client_faults and FAULT in asked.request.first_values
            if is_wish or selection.rule is None:
                wrong = RequestError(400, f"{FAULT.decode()}: {exc}", code="invalid_wish")
                return self._refusal(table, wrong)._replace(reusable=False)
            reply = self.renderer.no_such_place(api, selection.rule, exc)
            trouble = Trouble(f"{selection.rule.label}: fault", str(exc))
            failed = replace_reply(match, reply, faults)
            return failed._replace(outcome=Outcome.FAILED, trouble=trouble)
        return replace_reply(match, broken, faults)

    def _failed_decision(
        self, table: Table, prompt: Prompt, selection: Selection, error: MadeReplyError
    ) -> Decision:
        """Return the decision to report that an answer could not be made."""
        assert selection.rule is not None
        refusal, trouble = could_not_make(selection.rule, error)
        reply, ready = make_ready(self.renderer.render_error(table.api, refusal))
        summary = Summary.of(prompt)
        match = Match(Outcome.FAILED, reply, ready, selection.rule, summary, trouble=trouble)
        return Decision.by(match)

    def _matched(
        self,
        table: Table,
        prompt: Prompt,
        selection: Selection | RequestError,
        made: Answer | None = None,
    ) -> Match:
        """Return the match with an answer, the one that was `made` or that of the selected source,
        without its faults; or with an error."""
        if isinstance(selection, RequestError):
            reply, ready = make_ready(self.renderer.render_error(table.api, selection))
            return Match(
                Outcome.UNMATCHED,
                reply,
                ready,
                summary=Summary.of(prompt),
                reusable=True,
                near_miss=near_miss_of(selection),
            )
        source, rule, reusable, _ = selection
        answer = source.answer(prompt) if made is None else made
        reply, ready = self.renderer.reply_to(table, selection, answer, prompt)
        summary = _new(Summary, (prompt.endpoint, prompt.model, prompt.options.stream))
        reusable = reusable and not isinstance(reply.steps, LazySteps)
        said = answer if answer.failure is None else None
        values = (source.outcome, reply, ready, rule, summary, said, reusable, None, None)
        return _new(Match, values)

    def _fallback(self, table: Table) -> Source | None:
        """Return the source that answers where no mock matches, if there is one."""
        api = table.api
        if api.generate is not None and (not table.mocks or self._echo is not None):
            # embeddings would displace everything else from the cache
            return GeneratedSource(api.generate, Outcome.GENERATED, reusable=False, pace=self.pace)
        echo = self._echo
        if echo is None:
            return None
        return GeneratedSource(
            lambda prompt: api.text_response(echo(prompt)),
            Outcome.ECHO,
            reusable=True,
            chunk=table.chunk,
            pace=self.pace,
        )

    def _refusal(self, table: Table, error: RequestError) -> Match:
        """Return the match of an invalid request, which is valid for every equal request."""
        reply, ready = make_ready(self.renderer.render_error(table.api, error))
        return Match(Outcome.REFUSED, reply, ready, reusable=True)


def _uncached(match: Match | Decision | Question) -> Decision | Question:
    """Return the decision by a match that is not cached."""
    return Decision.by(match._replace(reusable=False)) if isinstance(match, Match) else match


def _has_much_to_match(table: Table, prompt: Prompt) -> bool:
    """True if a request that is not large takes long to match, for its inputs or its messages."""
    if prompt.inputs > MAX_INPUTS_AT_ONCE:
        return True
    return bool(table.index.readings) and any(
        isinstance(value, list) and len(value) > MAX_MESSAGES_AT_ONCE
        for value in prompt.body.values()
    )
