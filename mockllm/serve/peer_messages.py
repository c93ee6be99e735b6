"""The messages between worker processes: a length in four bytes and a JSON text.

JSON has no bytes: they are sent as strings of the characters U+0000 to U+00FF.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from mockllm.exchange import Reply, Request
from mockllm.limits import MIB
from mockllm.state.responses import StoredResponse
from mockllm.wire.placeholders import FreshValues

MAX_MESSAGE = 256 * MIB

_LENGTH_BYTES = 4


def write_message(writer: asyncio.StreamWriter, message: Any) -> None:
    """Write `message`, any JSON value. The caller drains the writer."""
    text = orjson.dumps(message)
    writer.write(len(text).to_bytes(_LENGTH_BYTES) + text)


async def read_message(reader: asyncio.StreamReader) -> Any:
    """Read one message.

    Raises:
        OSError: the message is too long.
        asyncio.IncompleteReadError: the connection was closed first.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_MESSAGE:
        raise OSError(f"a message of {length:,} bytes")
    return orjson.loads(await reader.readexactly(length))


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def pack_request(request: Request) -> Any:
    """Return `request` as a JSON value."""
    headers = [[_text(name), _text(value)] for name, value in request.headers]
    return [request.method, request.path, request.query, headers, _text(request.body)]


def unpack_request(packed: Any) -> Request:
    """Return the request that `pack_request` packed."""
    method, path, query, headers, body = packed
    lines = tuple((_bytes(name), _bytes(value)) for name, value in headers)
    return Request.of(method, path, lines, _bytes(body), query=query)


def pack_reply(reply: Reply) -> Any:
    """Return `reply` as a JSON value: without pauses and with a complete ending."""
    headers = [[_text(name), _text(value)] for name, value in reply.headers]
    return [reply.status, headers, reply.streamed, [_text(step.data) for step in reply.steps]]


def unpack_reply(packed: Any) -> Reply:
    """Return the reply that `pack_reply` packed."""
    status, headers, streamed, steps = packed
    lines = tuple((_bytes(name), _bytes(value)) for name, value in headers)
    frames = map(_bytes, steps)
    if streamed:
        return Reply.stream(status, lines, frames)
    return Reply.whole(status, lines, b"".join(frames))


def pack_responses(responses: Iterable[StoredResponse]) -> Any:
    """Return `responses` as two lists. The first has each answer once, because all responses of a
    mock share it."""
    answers: list[Any] = []
    places: dict[tuple[int, int, object], int] = {}
    deliveries = []
    for stored in responses:
        shared = (id(stored.response), id(stored.events), stored.chunk)
        if shared not in places:
            places[shared] = len(answers)
            answers.append([stored.response, stored.chunk, stored.events])
        fresh = list(map(_text, stored.fresh))
        rest = [stored.cancelled, stored.session, stored.answer_size]
        deliveries.append([_text(stored.body), places[shared], fresh, *rest])
    return [answers, deliveries]


def unpack_responses(packed: Any) -> Iterator[StoredResponse]:
    """Yield the responses that `pack_responses` packed."""
    answers, deliveries = packed
    for body, place, fresh, *rest in deliveries:
        values = FreshValues(*map(_bytes, fresh))
        response, chunk, events = answers[place]
        yield StoredResponse(_bytes(body), response, chunk, events, values, *rest)
