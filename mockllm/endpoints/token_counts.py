"""POST /v1/messages/count_tokens and /v1/responses/input_tokens: `tokens.estimate_prompt`, the same
that fills an absent `usage`. Requests that the API refuses are refused here too."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.route import MESSAGES, RESPONSES, Context, json_answer
from mockllm.engine.decision import Decision
from mockllm.engine.mocks import Table
from mockllm.exchange import Request
from mockllm.prompt import Prompt
from mockllm.providers import request_body
from mockllm.providers.routes import Values
from mockllm.wire import jsontext, tokens


def count_tokens(context: Context, request: Request, values: Values) -> Decision:
    """anthropic 2.12.0: `MessageTokensCount`."""
    prompt = _read(context.engine.table(MESSAGES), request, {"max_tokens": 1})
    body = {"input_tokens": tokens.estimate_prompt(prompt.body)}
    return json_answer(request, body, prompt=prompt)


def input_tokens(context: Context, request: Request, values: Values) -> Decision:
    """openai 3.54.0: `InputTokenCountResponse`."""
    prompt = _read(context.engine.table(RESPONSES), request, {"model": "any", "input": ""})
    count = tokens.estimate_prompt(prompt.body)
    body = {"object": "response.input_tokens", "input_tokens": count}
    return json_answer(request, body, prompt=prompt)


def _read(table: Table, request: Request, optional: dict[str, Any]) -> Prompt:
    """The request as one of the API, with the members that only the API itself requires."""
    members = request_body.read_object(request.body)
    given = {name: value for name, value in members.items() if value is not None}
    prompt = table.decode(jsontext.dumps(optional | given))
    table.validate(prompt)
    return prompt
