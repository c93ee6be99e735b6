"""The conversation that a request of Responses continues with `previous_response_id`."""

from __future__ import annotations

import orjson

from mockllm.endpoints.route import Context
from mockllm.endpoints.stored_responses import StoredExchange, find_stored, whole_body
from mockllm.matching import readings
from mockllm.prompt import Earlier
from mockllm.providers import normalise
from mockllm.providers.openai.responses.conversation import read_messages


def find_earlier(context: Context, response_id: str) -> Earlier | None:
    """Return the conversation that ends with the response with this id; None if this process does
    not store it, or does not store the whole conversation."""
    chain: list[StoredExchange] = []
    seen: set[str] = set()  # a configured id may be used again, and then refer to itself
    earlier: Earlier | None = None
    while response_id:
        exchange = find_stored(context, response_id)
        if exchange is None or response_id in seen:
            return None
        seen.add(response_id)
        earlier = context.stored.earlier.get(exchange.stored.key)
        if earlier is not None:
            break
        chain.append(exchange)
        response_id = normalise.text(exchange.prompt.body.get("previous_response_id"))
    for exchange in reversed(chain):
        exchange.prompt.earlier = earlier
        earlier = _continued(context, exchange)
        if earlier is None:
            return None
        context.stored.earlier[exchange.stored.key] = earlier
    return earlier


def _continued(context: Context, exchange: StoredExchange) -> Earlier | None:
    """Return the conversation up to the answer of `exchange`; None if it is not known, because it
    belongs to a `conversation` of the service."""
    prompt = exchange.prompt
    turn, step = readings.turn(prompt), readings.step(prompt)
    if turn is None or step is None:
        return None
    output = orjson.loads(whole_body(context, exchange)).get("output")
    answer = read_messages({"input": output if isinstance(output, list) else []})
    calls = tuple(call for message in answer for call in message.calls)
    return Earlier(turn, step, readings.last_user(prompt) or (), calls)
