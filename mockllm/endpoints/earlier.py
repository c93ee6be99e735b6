"""The conversation that a request of Responses continues with `previous_response_id`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mockllm.endpoints.route import Context
from mockllm.endpoints.stored_responses import StoredExchange, find_stored, read_output
from mockllm.matching import readings
from mockllm.matching.divided_readings import in_pieces
from mockllm.pieces import Pieces
from mockllm.prompt import Earlier, ToolCall
from mockllm.prompt.conversation import MESSAGES_AT_ONCE, KeptTexts
from mockllm.providers import contents
from mockllm.providers.openai.responses.conversation import read_messages

_CONTINUES = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\]+)"')
"""Not within a string of JSON: there, quotes are escaped."""


_READINGS = (readings.messages, readings.turns, readings.step, readings.last_user)
"""What is read of a conversation that is continued, each from what is before it."""


class Elsewhere(NamedTuple):
    """A response that is not stored in this process, with its id. Another may store it."""

    response_id: str


def continued_id(body: bytes) -> str | None:
    """Return the id of the response that a request continues, without decoding its `body`; None if
    it continues none. A member of this name in another object may be found in its place."""
    found = _CONTINUES.search(body)
    return None if found is None else found[1].decode("utf-8", "replace")


def look_back(
    context: Context, response_id: str, leftovers: list[Any]
) -> Pieces[Earlier | Elsewhere | None]:
    """Return the conversation that ends with the response with this id, or what of it is not known
    in this process; None if nobody knows it. There are pauses if its requests are large.
    `leftovers` are those of `DividedWork`."""
    chain: list[tuple[str, StoredExchange]] = []
    seen: set[str] = set()  # a configured id may be used again, and then refer to itself
    earlier: Earlier | None = None
    while response_id:
        earlier = context.stored.find_earlier(response_id, context.session)
        if earlier is not None:
            break
        if response_id in seen:
            return None
        exchange = yield from find_stored(context, response_id, leftovers)
        if exchange is None:
            if chain:
                earlier = context.stored.find_elsewhere(response_id, context.session)
            if earlier is None:
                return Elsewhere(response_id)
            break
        seen.add(response_id)
        chain.append((response_id, exchange))
        response_id = contents.text(exchange.prompt.body.get("previous_response_id"))
    while chain:
        found, exchange = chain.pop()
        exchange.prompt.earlier = earlier
        earlier = yield from _continued(exchange)
        if earlier is None:
            return None
        context.stored.note_earlier(exchange.stored, found, earlier)
    return earlier


def _continued(exchange: StoredExchange) -> Pieces[Earlier | None]:
    """Return the conversation up to the answer of `exchange`; None if it is not known, because it
    belongs to a `conversation` of the service."""
    prompt = exchange.prompt
    yield from in_pieces(prompt, _READINGS)
    turn, step = readings.turn(prompt), prompt.once(readings.step)
    if turn is None or step is None:
        return None
    calls: list[ToolCall] = []
    for number, items in enumerate(read_output(exchange.stored)):
        if number:
            yield False
        answer = (message for message in read_messages({"input": items}) if message is not None)
        calls += (call for message in answer for call in message.calls)
    words = prompt.once(readings.last_user)
    last_user: Sequence[str] = words or ()
    if isinstance(last_user, list) and len(last_user) > MESSAGES_AT_ONCE:
        last_user = yield from KeptTexts.of(last_user)
    return Earlier(turn, step, last_user, tuple(calls))
