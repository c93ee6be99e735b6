"""POST /v1/messages/count_tokens and /v1/responses/input_tokens: the estimate that also fills in
missing `usage` (`tokens.estimate_prompt`). Requests are validated like those to the API itself, and
get the failures that a service reports whatever it is asked to do (`failures.OF_ANY_CALL`)."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.bodies import endpoint_decision, json_answer, read_object
from mockllm.endpoints.route import MESSAGES, RESPONSES, Context
from mockllm.engine.asking import MAX_UNDIVIDED, begin, pause_if_large
from mockllm.engine.decision import Decision, Question
from mockllm.engine.sources import outline
from mockllm.engine.unmatched import UnmatchedError
from mockllm.exchange import Request
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers.routes import Values
from mockllm.wire import tokens


def count_tokens(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer as anthropic 2.12.0 expects: `MessageTokensCount`."""
    leftovers: list[Any] = []
    counted = _count(context, MESSAGES, request, {"max_tokens": 1}, {}, leftovers)
    return begin(counted, leftovers)


def input_tokens(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer as openai 3.54.0 expects: `InputTokenCountResponse`."""
    head = {"object": "response.input_tokens"}
    leftovers: list[Any] = []
    defaults = {"model": "any", "input": ""}
    return begin(_count(context, RESPONSES, request, defaults, head, leftovers), leftovers)


def _count(
    context: Context,
    api: str,
    request: Request,
    defaults: dict[str, Any],
    head: dict[str, Any],
    leftovers: list[Any],
) -> Pieces[Decision]:
    """Return the decision to answer with the number of tokens behind the members of `head`, made in
    pieces."""
    prompt = yield from decode_like(context, api, request, defaults, leftovers)
    failed = yield from find_failure(context, api, request, prompt)
    if failed is not None:
        return failed
    yield from pause_if_large(request)
    body = head | {"input_tokens": tokens.estimate_prompt(prompt.body)}
    return json_answer(request, body, prompt=prompt)


def decode_like(
    context: Context,
    api: str,
    request: Request,
    defaults: dict[str, Any],
    leftovers: list[Any],
) -> Pieces[Prompt]:
    """Return the prompt of a request that is like one to `api`, validated as such, in pieces.
    `defaults` are members that the API requires and this request may leave out, `leftovers` those
    of `DividedWork`.

    Raises:
        RequestError: 400, naming the invalid member.
    """
    table = context.table(api)
    members = yield from read_object(request, leftovers)
    present = {name: value for name, value in members.items() if value is not None}
    if len(request.body) > MAX_UNDIVIDED:
        prompt = yield from table.api.read_in_pieces(defaults | present, leftovers)
        yield from table.validate_in_pieces(prompt)
        prompt.body = yield from tokens.estimate_in_pieces(prompt.body)
    else:
        prompt = table.api.read(defaults | present, None)
        table.validate(prompt)
    return prompt


def find_failure(
    context: Context, api: str, request: Request, prompt: Prompt
) -> Pieces[Decision | None]:
    """Return the decision to answer with the failure of the mock in `api` that matches `prompt`, in
    pieces; None if there is no such mock, or if its failure is one of running the model alone."""
    table = context.table(api)
    if not table.fails:
        return None
    selection = yield from context.engine.selector.search_one(table, prompt, request.first_values)
    if isinstance(selection, UnmatchedError) or selection.candidates:
        return None  # to count tokens takes no answer of a mock with several
    source, rule, *_ = selection
    failure = outline(source, prompt).failure
    if failure is None or not failure.is_of_any_call:
        return None
    reply = context.engine.renderer.render_failure(
        table.api, failure, prompt.model, table.api.failures
    )
    return endpoint_decision(reply, prompt, outcome=source.outcome, rule=rule)
