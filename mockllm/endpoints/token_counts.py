"""POST /v1/messages/count_tokens and /v1/responses/input_tokens: the estimate that also fills in
missing `usage` (`tokens.estimate_prompt`). Requests are validated like those to the API itself, and
get the failures that a service reports whatever it is asked to do (`failures.OF_ANY_CALL`)."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.route import (
    MESSAGES,
    RESPONSES,
    Context,
    endpoint_decision,
    json_answer,
)
from mockllm.engine.decision import Decision
from mockllm.engine.mocks import Table
from mockllm.engine.unmatched import UnmatchedError
from mockllm.exchange import Request
from mockllm.prompt import Prompt
from mockllm.providers import request_body
from mockllm.providers.routes import Values
from mockllm.wire import jsontext, tokens


def count_tokens(context: Context, request: Request, values: Values) -> Decision:
    """Answer as anthropic 2.12.0 expects: `MessageTokensCount`."""
    prompt = _decode(context.engine.table(MESSAGES), request, {"max_tokens": 1})
    failed = find_failure(context, MESSAGES, request, prompt)
    if failed is not None:
        return failed
    body = {"input_tokens": tokens.estimate_prompt(prompt.body)}
    return json_answer(request, body, prompt=prompt)


def input_tokens(context: Context, request: Request, values: Values) -> Decision:
    """Answer as openai 3.54.0 expects: `InputTokenCountResponse`."""
    prompt = decode_responses(context, request, {"model": "any", "input": ""})
    failed = find_failure(context, RESPONSES, request, prompt)
    if failed is not None:
        return failed
    count = tokens.estimate_prompt(prompt.body)
    body = {"object": "response.input_tokens", "input_tokens": count}
    return json_answer(request, body, prompt=prompt)


def decode_responses(context: Context, request: Request, defaults: dict[str, Any]) -> Prompt:
    """Return the prompt of a request that is like one to Responses, validated as such. `defaults`
    are the members that it may leave out.

    Raises:
        RequestError: 400, naming the invalid member.
    """
    return _decode(context.engine.table(RESPONSES), request, defaults)


def find_failure(context: Context, api: str, request: Request, prompt: Prompt) -> Decision | None:
    """Return the decision to answer with the failure of the mock in `api` that matches `prompt`;
    None if there is no such mock, or if its failure is one of running the model alone."""
    table = context.engine.table(api)
    if not table.fails:
        return None
    selection = context.engine.match(table, prompt, request.first_values)
    if isinstance(selection, UnmatchedError) or selection.candidates:
        return None  # to count tokens takes no answer of a mock with several
    source, rule, *_ = selection
    failure = source.answer(prompt).failure
    if failure is None or not failure.is_of_any_call:
        return None
    reply = context.engine.render_failure(table.api, failure, prompt.model, table.api.failures)
    return endpoint_decision(reply, prompt, outcome=source.outcome, rule=rule)


def _decode(table: Table, request: Request, defaults: dict[str, Any]) -> Prompt:
    """Return the prompt of `request`, validated as a request to the API. `defaults` are members
    that the API requires and counting does not."""
    members = request_body.read_object(request.body)
    present = {name: value for name, value in members.items() if value is not None}
    prompt = table.decode(jsontext.dumps(defaults | present))
    table.validate(prompt)
    return prompt
