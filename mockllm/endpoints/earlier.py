"""The conversation that a request of Responses continues with `previous_response_id`."""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from mockllm.endpoints.route import Context
from mockllm.endpoints.stored_responses import StoredExchange, find_stored, whole_body
from mockllm.matching import readings
from mockllm.prompt import Earlier
from mockllm.providers import normalise
from mockllm.providers.openai.responses.conversation import read_messages

_CONTINUES = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\]+)"')
"""Not within a string of JSON: there, quotes are escaped."""


class Elsewhere(NamedTuple):
    """A response that is not stored in this process, with its id. Another may store it."""

    response_id: str


def continued_id(body: bytes) -> str | None:
    """Return the id of the response that a request continues, without decoding its `body`; None if
    it continues none. A member of this name in another object may be found in its place."""
    found = _CONTINUES.search(body)
    return None if found is None else found[1].decode("utf-8", "replace")


def find_earlier(context: Context, response_id: str) -> Earlier | None:
    """Return the conversation that ends with the response with this id; None if this process does
    not store it, or does not know the whole conversation."""
    found = look_back(context, response_id)
    return None if isinstance(found, Elsewhere) else found


def look_back(context: Context, response_id: str) -> Earlier | Elsewhere | None:
    """Return the conversation that ends with the response with this id, or what of it is not known
    in this process; None if nobody knows it."""
    chain: list[StoredExchange] = []
    seen: set[str] = set()  # a configured id may be used again, and then refer to itself
    earlier: Earlier | None = None
    while response_id:
        exchange = find_stored(context, response_id)
        if response_id in seen:
            return None
        if exchange is None:
            if chain:
                earlier = context.stored.find_elsewhere(response_id, context.session)
            if earlier is None:
                return Elsewhere(response_id)
            break
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
    read = read_messages({"input": output if isinstance(output, list) else []})
    answer = (message for message in read if message is not None)
    calls = tuple(call for message in answer for call in message.calls)
    return Earlier(turn, step, tuple(readings.last_user(prompt) or ()), calls)
