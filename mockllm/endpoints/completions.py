"""POST /v1/completions, the predecessor of Chat Completions (openai 3.54.0: `Completion`).

It has no mocks of its own. Each prompt is matched against the Chat Completions mocks as the text of
a user's message, and the answer is converted to a completion. Tokens, whose text is not known, are
matched like an empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from mockllm.config.wishes import FAULT, LATENCY
from mockllm.endpoints.bodies import endpoint_decision, read_object
from mockllm.endpoints.completion_reply import choices_of, render
from mockllm.endpoints.completion_request import MAX_PROMPTS_AT_ONCE, AnyPrompt, CompletionRequest
from mockllm.endpoints.route import CHAT, Context
from mockllm.engine.asked import Asked
from mockllm.engine.asking import begin, draw_for, pause_if_large
from mockllm.engine.decision import Answer, Called, Decision, Outcome, Planned, Question, make_body
from mockllm.engine.effects import NO_EFFECTS, Effects
from mockllm.engine.faults import compile_faults, drawn, is_drawn, written_tokens
from mockllm.engine.latency import compile_latency
from mockllm.engine.made_reply import MadeReplyError
from mockllm.engine.making import call_of, could_not_make, make_in_pieces
from mockllm.engine.parts import choose_for_parts
from mockllm.engine.sources import (
    FunctionSource,
    Selection,
    faults_of,
    select_error,
    with_cached,
)
from mockllm.engine.unmatched import near_miss_of
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers.openai.failures import TOO_MANY_TOKENS
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.replies.fault_places import NoSuchPlaceError
from mockllm.replies.headers import set_headers
from mockllm.state.choosing import Choice, Chosen

MAX_COPIED = 32 * 1024  # bytes of a body that are copied for each prompt
_FAILURES = {"context_length": TOO_MANY_TOKENS}
"""The failures that differ from those of Chat Completions."""


def complete(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with the texts of the mocks that match the prompts, one or more choices per prompt; or
    with the failure of the first mock that has one, or a 404 if a prompt matches no mock.

    Raises:
        RequestError: 400 if the body is invalid.
    """
    leftovers: list[Any] = []
    return begin(_complete(context, request, leftovers), leftovers)


def _complete(
    context: Context, request: Request, leftovers: list[Any]
) -> Pieces[Decision | Question]:
    """Return the decision of `complete`, or the question which mocks answer, in pieces. `leftovers`
    are those of `DividedWork`."""
    wanted = CompletionRequest.read((yield from read_object(request, leftovers)))
    yield from pause_if_large(request)
    table, responder = context.table(CHAT), context.engine.responder
    wanted = wanted._replace(wishes=responder.wishes_of(request))
    if table.traffic is None or wanted.wishes.error is not None:
        return (yield from _complete_in_traffic(context, request, wanted, NO_EFFECTS))
    first = Asked(_chat_prompt(context, wanted, wanted.prompts[0]), request, context.session)

    def decide(effects: Effects) -> Decision | Question:
        return begin(_complete_in_traffic(context, request, wanted, effects))

    size = {"input": [*wanted.prompts], "n": len(wanted.prompts), "max_tokens": wanted.max_tokens}
    return context.engine.stage.expose(table, first, replace(first.prompt, body=size), decide)


def _complete_in_traffic(
    context: Context, request: Request, wanted: CompletionRequest, effects: Effects
) -> Pieces[Decision | Question]:
    """Do what `_complete` does after decoding, with these effects of traffic: those on the first
    prompt."""
    selector = context.engine.selector
    table = context.table(CHAT)
    prompts: list[Prompt] = []
    selections: list[Selection | RequestError] = []
    error = context.engine.responder.wished(table, request)
    if effects.error is not None:
        error = select_error(effects.error)
    for place, each in enumerate(wanted.prompts, 1):
        prompt = _chat_prompt(context, wanted, each)
        prompts.append(prompt)
        if error is not None:
            selections.append(error)
        else:
            found = yield from selector.search_one(table, prompt, request.first_values)
            selections.append(found)
        if isinstance(selections[-1], RequestError):
            asked = _ask(context, request, prompts, effects)
            return (yield from _make(context, request, wanted, asked, selections))
        if place % MAX_PROMPTS_AT_ONCE == 0:
            yield False
    parts = [each.candidates for each in selections if isinstance(each, Selection)]

    def resume(choices: Sequence[Choice] | RequestError) -> Decision | Question:
        if isinstance(choices, RequestError):
            return _unmatched(prompts[0], choices)
        chosen = [
            selector.chosen(table, prompt, rules, choice) if rules else selection
            for prompt, selection, rules, choice in zip(
                prompts, selections, parts, choices, strict=True
            )
        ]
        numbers = [choice.number if isinstance(choice, Chosen) else 0 for choice in choices]
        asked = _ask(context, request, prompts, effects, numbers)
        return begin(_make(context, request, wanted, asked, chosen))

    if any(parts):
        return choose_for_parts(table, parts, request, context.session, resume)
    asked = _ask(context, request, prompts, effects)
    return (yield from _make(context, request, wanted, asked, selections))


def _ask(
    context: Context,
    request: Request,
    prompts: Sequence[Prompt],
    effects: Effects,
    calls: Sequence[int] = (),
) -> list[Asked]:
    """Return what answers to the prompts are made for; `calls` are their numbers."""
    return [
        Asked(prompt, _numbered(request, place), context.session, call, effects)
        for place, (prompt, call) in enumerate(zip(prompts, chain(calls, repeat(0)), strict=False))
    ]


def _numbered(request: Request, place: int) -> Request:
    """Return the request for the prompt at `place`, for which other words are generated than for
    those at others. Of a large body its size and its end tell it from others: to copy 60 MB takes
    40 ms."""
    body = request.body
    if len(body) > MAX_COPIED:
        body = b"%d %b" % (len(body), body[-MAX_COPIED:])
    return request._replace(body=b"%d %b" % (place, body))


def _make(
    context: Context,
    request: Request,
    wanted: CompletionRequest,
    asked: Sequence[Asked],
    selections: Sequence[Selection | RequestError],
) -> Pieces[Decision | Question]:
    """Return the decision by the sources of all prompts, or by the first error or failure among
    them, made in pieces."""
    engine = context.engine
    chat = context.table(CHAT).api
    question = _call_functions(context, request, wanted, asked, selections)
    if question is not None:
        return question
    answers: list[Answer] = []
    sources: list[Selection] = []
    for each, selection in zip(asked, selections, strict=False):
        prompt = each.prompt
        if isinstance(selection, RequestError):
            return _unmatched(prompt, selection)
        try:
            answer = yield from make_in_pieces(selection.source, each, engine.responder.work_clock)
        except MadeReplyError as exc:
            return _unmade(prompt, selection, exc)
        if wanted.wishes.pace is not None:
            pace = compile_latency(wanted.wishes.pace, LATENCY.decode())
            answer = answer._replace(pace=pace)
        if answer.failure is not None:
            reply = engine.renderer.render_failure(chat, answer.failure, wanted.model, _FAILURES)
            reply = engine.renderer.pace_reply(chat, reply, answer, prompt)
            return (yield from _deliver(context, request, wanted, each, selection, reply, answer))
        sources.append(selection)
        if wanted.wishes.pace is None:
            answer = each.effects.pace(answer)[0]
        answers.append(with_cached(chat, answer, prompt))
    choices = yield from choices_of(answers)
    reply = engine.cors.share(render(wanted, answers, choices))
    reply = set_headers(reply, answers[0].headers)
    reply = engine.renderer.pace_reply(chat, reply, answers[0], asked[0].prompt)
    yield from make_body(reply)
    delivering = _deliver(context, request, wanted, asked[-1], sources[0], reply, answers[0])
    return (yield from delivering)


def _call_functions(
    context: Context,
    request: Request,
    wanted: CompletionRequest,
    asked: Sequence[Asked],
    selections: Sequence[Selection | RequestError],
) -> Question | None:
    """Return the question what the functions of the selected mocks return; None if there are none,
    or a prompt is not answered."""
    functions: dict[int, tuple[FunctionSource, Selection]] = {}
    for place, selection in enumerate(selections):
        if isinstance(selection, RequestError):
            return None
        if isinstance(selection.source, FunctionSource):
            functions[place] = selection.source, selection

    def resume(results: Sequence[Called]) -> Decision | Question:
        returned = list(selections)
        for (place, (source, selection)), called in zip(functions.items(), results, strict=True):
            try:
                returned[place] = selection._replace(source=source.returned(called))
            except MadeReplyError as exc:
                return _unmade(asked[place].prompt, selection, exc)
        return begin(_make(context, request, wanted, asked, returned))

    calls = [call_of(source, asked[place]) for place, (source, _) in functions.items()]
    return Question(tuple(calls), resume) if calls else None


def _deliver(
    context: Context,
    request: Request,
    wanted: CompletionRequest,
    asked: Asked,
    selection: Selection,
    reply: Reply,
    answer: Answer,
) -> Pieces[Decision | Question]:
    """Return the decision to send `reply`, which has the `answer`, with the faults that the client
    asks for, else those of the selected mock, else those of traffic, or the question which of them
    happen; made in pieces."""
    engine, prompt, wishes = context.engine, asked.prompt, wanted.wishes
    chat = context.table(CHAT).api
    faults, owner = faults_of(selection, asked.effects, answer)
    if wishes.faults:
        faults, owner = compile_faults(wishes.faults), selection.rule
    felt = () if wishes.pace is not None else asked.effects.pace(answer)[1]
    written = written_tokens(chat, answer.response) if len(wanted.prompts) == 1 else 0

    def decide(happening: Planned) -> Pieces[Decision]:
        broken, traffic = reply, felt
        try:
            if happening:
                broken = yield from engine.renderer.break_reply(
                    chat, reply, happening, prompt.model, _FAILURES, written
                )
        except NoSuchPlaceError as exc:
            if wishes.faults:
                wrong = RequestError(400, f"{FAULT.decode()}: {exc}", code="invalid_wish")
                return endpoint_decision(
                    OPENAI.render_error(wrong, {}), prompt, outcome=Outcome.REFUSED
                )
            broken = engine.renderer.no_such_place(chat, owner, exc)
        if happening and owner is not None and owner is not selection.rule:
            traffic = tuple(dict.fromkeys((*felt, owner.label)))
        outcome = selection.source.outcome
        decision = endpoint_decision(broken, prompt, outcome=outcome, rule=selection.rule)
        match = decision.match._replace(traffic=traffic, asked_for=wishes.kinds)
        return decision._replace(match=match)

    if not is_drawn(faults):
        return (yield from decide(faults))
    draw = draw_for(owner, request, context.session, engine.seed)
    return Question((draw,), lambda results: begin(decide(drawn(faults, results[0]))))


def _unmade(prompt: Prompt, selection: Selection, error: MadeReplyError) -> Decision:
    assert selection.rule is not None
    refusal, trouble = could_not_make(selection.rule, error)
    reply = OPENAI.render_error(refusal, {})
    decision = endpoint_decision(reply, prompt, outcome=Outcome.FAILED, rule=selection.rule)
    return decision._replace(match=decision.match._replace(trouble=trouble))


def _unmatched(prompt: Prompt, error: RequestError) -> Decision:
    reply = OPENAI.render_error(error, {})
    decision = endpoint_decision(reply, prompt, outcome=Outcome.UNMATCHED)
    return decision._replace(match=decision.match._replace(near_miss=near_miss_of(error)))


def _chat_prompt(context: Context, wanted: CompletionRequest, said: AnyPrompt) -> Prompt:
    """Return the prompt of a Chat Completions request in which a user has `said` this. Tokens have
    no text."""
    table = context.table(CHAT)
    text = said if isinstance(said, str) else ""
    body: dict[str, Any] = {"model": wanted.model, "messages": [{"role": "user", "content": text}]}
    if wanted.max_tokens is not None:
        body["max_tokens"] = max(wanted.max_tokens, 1)  # here it may be 0
    prompt = table.api.read(body, None)
    table.validate(prompt)
    return prompt
