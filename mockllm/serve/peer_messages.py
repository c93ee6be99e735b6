"""The messages between worker processes: a length in four bytes and a JSON text.

JSON has no bytes: they are sent as strings of the characters U+0000 to U+00FF.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from typing import Any

import orjson

from mockllm.exchange import Reply, Request, Step
from mockllm.limits import KIB, MIB
from mockllm.pieces import Pieces
from mockllm.serve.turns import Turns
from mockllm.state.responses import StoredResponse
from mockllm.wire import json_encoding
from mockllm.wire.json_pieces import loads_in_pieces
from mockllm.wire.placeholders import FreshValues

MAX_MESSAGE = 256 * MIB

_LENGTH_BYTES = 4
_MAX_UNDIVIDED = 128 * KIB  # bytes of a message that is decoded at once


async def write_message(writer: asyncio.StreamWriter, message: Any, turns: Turns) -> None:
    """Write `message`, any JSON value, and drain the writer. A large one is encoded in `turns`."""
    if not json_encoding.takes_long(message):
        text = orjson.dumps(message)
        writer.write(len(text).to_bytes(_LENGTH_BYTES) + text)
        await writer.drain()
        return
    pieces: list[bytes] = await turns.perform(encode_in_pieces(message))
    writer.write(sum(map(len, pieces)).to_bytes(_LENGTH_BYTES))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def read_message(reader: asyncio.StreamReader, turns: Turns) -> Any:
    """Read one message. A large one is decoded in `turns`.

    Raises:
        OSError: the message is too long.
        asyncio.IncompleteReadError: the connection was closed first.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_MESSAGE:
        raise OSError(f"a message of {length:,} bytes")
    if length <= _MAX_UNDIVIDED:
        return orjson.loads(await reader.readexactly(length))
    return await turns.perform(decode_in_pieces(await _read_in_pieces(reader, length)))


async def _read_in_pieces(reader: asyncio.StreamReader, length: int) -> bytes:
    """Do what `readexactly` does. That copies 10 MB twice at once, in 8 ms."""
    text = BytesIO()
    while left := length - text.tell():
        piece = await reader.read(min(left, _MAX_UNDIVIDED))
        if not piece:
            raise asyncio.IncompleteReadError(text.getvalue(), length)
        text.write(piece)
    return text.getvalue()


def encode_in_pieces(message: Any) -> Pieces[list[bytes]]:
    """Return a message as pieces of JSON, made with pauses."""
    made: list[bytes] = []
    for piece in json_encoding.dumps_in_pieces(message):
        made.append(piece)
        yield False
    return made


def decode_in_pieces(text: bytes, leftovers: list[Any] | None = None) -> Pieces[Any]:
    """Return a message that is JSON, with pauses. `leftovers` are those of `loads_in_pieces`."""
    try:
        return (yield from loads_in_pieces(text, leftovers))
    except ValueError:  # beyond its bounds
        yield True
        return orjson.loads(text)


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


def pack_reply(reply: Reply) -> Pieces[Any]:
    """Return `reply` as a JSON value: without pauses in its delivery and with a complete ending. It
    is made with pauses."""
    headers = [[_text(name), _text(value)] for name, value in reply.headers]
    steps: list[list[str]] = []
    for step in reply.steps:
        steps.append([_text(piece) for piece in step.pieces])
        yield False
    return [reply.status, headers, reply.streamed, steps]


def unpack_reply(packed: Any) -> Pieces[Reply]:
    """Return the reply that `pack_reply` packed, with pauses."""
    status, headers, streamed, packed_steps = packed
    lines = tuple((_bytes(name), _bytes(value)) for name, value in headers)
    steps: list[Step] = []
    for pieces in packed_steps:
        yield False
        steps.append(Step(tuple(map(_bytes, pieces))))
    if streamed:
        return Reply(status, lines, tuple(steps), streamed=True)
    body = tuple(chain.from_iterable(step.pieces for step in steps))
    return Reply(status, lines, (Step(body or (b"",)),))


def pack_responses(responses: Iterable[StoredResponse]) -> Pieces[Any]:
    """Return `responses` as two lists, made with pauses. The first has each answer once, because
    all responses of a mock share it."""
    answers: list[Any] = []
    places: dict[tuple[int, int, object], int] = {}
    deliveries = []
    for stored in responses:
        body: list[str] = []
        for start in range(0, len(stored.body), MIB):
            yield False
            body.append(_text(stored.body[start : start + MIB]))
        shared = (id(stored.response), id(stored.events), stored.chunk)
        if shared not in places:
            places[shared] = len(answers)
            answers.append([stored.response, stored.chunk, stored.events])
        fresh = list(map(_text, stored.fresh))
        rest = [stored.cancelled, stored.session, stored.answer_size]
        deliveries.append(["".join(body), places[shared], fresh, *rest])
    return [answers, deliveries]


def unpack_responses(packed: Any) -> Pieces[list[StoredResponse]]:
    """Return the responses that `pack_responses` packed, with pauses."""
    answers, deliveries = packed
    unpacked: list[StoredResponse] = []
    for text, place, fresh, *rest in deliveries:
        body = BytesIO()
        for start in range(0, len(text), MIB):
            yield False
            body.write(_bytes(text[start : start + MIB]))
        values = FreshValues(*map(_bytes, fresh))
        response, chunk, events = answers[place]
        unpacked.append(StoredResponse(body.getvalue(), response, chunk, events, values, *rest))
    return unpacked
