"""Worker processes that ask one another what only one of them knows.

The supervisor makes a `Switchboard` before it forks: for each slot a listening Unix socket, in a
directory that nobody else may enter. The worker in a slot accepts on its socket; whoever wants to
ask it connects. The supervisor holds the sockets, as it holds those of clients, so that a worker
which is replaced leaves nobody refused.

A message is its length in four bytes and a JSON text; each connection carries one and its answer:

    {"decide": request}    the reply to a request that another worker got, or null
    {"give": true}         all responses that may be asked for again
    {"take": responses}    null, once they are remembered here

A worker that takes another's place asks it for its responses before it takes connections, and the
one that is replaced sends those it gives while it drains. So an id is known in its slot whatever
process is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from mockllm.app import App
from mockllm.engine.decision import ForwardRequest, Operation
from mockllm.errors import ListenError
from mockllm.exchange import Reply, Request
from mockllm.limits import MIB
from mockllm.serve.address import BACKLOG, reason_of
from mockllm.state.responses import StoredResponse
from mockllm.wire.placeholders import FreshValues

MAX_WAIT = 0.1  # seconds for the answer of another worker
MAX_HANDOVER = 2.0  # seconds for all responses of one
MAX_MESSAGE = 256 * MIB

_LENGTH_BYTES = 4


class Switchboard:
    """The sockets by which workers reach one another, one for each slot."""

    def __init__(self, slots: int) -> None:
        """Raises:
        ListenError: there can be no such sockets.
        """
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="mockllm-"))
            self.paths = [self._folder / str(slot) for slot in range(slots)]
            self.sockets = [self._listen(path) for path in self.paths]
        except OSError as exc:
            reason = f"{tempfile.gettempdir()}: {reason_of(exc)}"
            raise ListenError(f"cannot make sockets between workers in {reason}") from exc

    @staticmethod
    def _listen(path: Path) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        sock.listen(BACKLOG)
        sock.setblocking(False)
        return sock

    def close_but(self, slot: int) -> None:
        """Close the sockets of all slots but one: in a worker, that is its own."""
        for number, sock in enumerate(self.sockets):
            if number != slot:
                sock.close()

    def close(self) -> None:
        """Close all sockets and remove their files."""
        for sock in self.sockets:
            sock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Place(NamedTuple):
    """Where a worker stands: its slot, and whether it takes the place of a worker that lives."""

    switchboard: Switchboard
    slot: int
    successor: bool


class Peers:
    """The other workers, for the worker in `slot`; and this worker, for the others."""

    def __init__(self, app: App, place: Place) -> None:
        self._app = app
        self._place = place
        self._paths = place.switchboard.paths
        self._others = [slot for slot in range(len(self._paths)) if slot != place.slot]
        self._server: asyncio.Server | None = None
        self._handed_over: set[str] = set()
        app.set_peers(frozenset(self._others))

    async def start(self) -> None:
        """Answer the others. A successor first gets the responses of the worker whose place it
        takes."""
        board, slot, successor = self._place
        if successor:
            given = await self._ask(slot, {"give": True}, MAX_HANDOVER)
            self._remember(given or ())
        # a copy, to be closed while the switchboard's stays open
        options: dict[str, Any] = {"sock": board.sockets[slot].dup()}
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is the switchboard's
        self._server = await asyncio.start_unix_server(self._serve, **options)

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """The answers of other workers, in the order of the operations."""
        return await asyncio.gather(*map(self._perform, operations))

    async def hand_over(self) -> None:
        """Leave the slot to its next worker: answer no more, and send it the responses that it has
        not been sent."""
        self.stop()
        stored = self._app.stored_responses.all()
        fresh = [each for each in stored if each.key not in self._handed_over]
        if fresh:
            self._handed_over.update(each.key for each in fresh)
            message = {"take": list(map(_pack_response, fresh))}
            await self._ask(self._place.slot, message, MAX_HANDOVER)

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _perform(self, operation: ForwardRequest) -> Reply | None:
        message = {"decide": _pack_request(operation.request)}
        slots = self._others if operation.slot is None else [operation.slot]
        answers = await asyncio.gather(*(self._ask(slot, message, MAX_WAIT) for slot in slots))
        known = next((answer for answer in answers if answer is not None), None)
        return None if known is None else _unpack_reply(known)

    async def _ask(self, slot: int, message: Any, seconds: float) -> Any:
        """The answer of the worker in `slot`; None where none comes in time."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(self._paths[slot])
                _write(writer, message)
                return await _read(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None
        finally:
            if writer is not None:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _write(writer, self._answer(await _read(reader)))
            await writer.drain()
        writer.close()

    def _answer(self, message: Any) -> Any:
        match message:
            case {"decide": request}:
                reply = self._app.decide_forwarded(_unpack_request(request))
                return None if reply is None else _pack_reply(reply)
            case {"give": _}:
                stored = self._app.stored_responses.all()
                self._handed_over.update(each.key for each in stored)
                return list(map(_pack_response, stored))
            case {"take": responses}:
                self._remember(responses)
        return None

    def _remember(self, responses: Sequence[Any]) -> None:
        for packed in responses:
            self._app.stored_responses.append(_unpack_response(packed))


# --- Messages ------------------------------------------------------------------------------------

# Bytes are texts of the characters U+0000 to U+00FF.


def _write(writer: asyncio.StreamWriter, message: Any) -> None:
    text = orjson.dumps(message)
    writer.write(len(text).to_bytes(_LENGTH_BYTES) + text)


async def _read(reader: asyncio.StreamReader) -> Any:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_MESSAGE:
        raise OSError(f"a message of {length:,} bytes")
    return orjson.loads(await reader.readexactly(length))


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _pack_request(request: Request) -> Any:
    headers = [[_text(name), _text(value)] for name, value in request.headers]
    return [request.method, request.path, request.query, headers, _text(request.body)]


def _unpack_request(packed: Any) -> Request:
    method, path, query, headers, body = packed
    lines = tuple((_bytes(name), _bytes(value)) for name, value in headers)
    return Request.of(method, path, lines, _bytes(body), query=query)


def _pack_reply(reply: Reply) -> Any:
    headers = [[_text(name), _text(value)] for name, value in reply.headers]
    return [reply.status, headers, reply.streamed, [_text(step.data) for step in reply.steps]]


def _unpack_reply(packed: Any) -> Reply:
    status, headers, streamed, steps = packed
    lines = tuple((_bytes(name), _bytes(value)) for name, value in headers)
    frames = map(_bytes, steps)
    if streamed:
        return Reply.stream(status, lines, frames)
    return Reply.whole(status, lines, b"".join(frames))


def _pack_response(stored: StoredResponse) -> Any:
    fresh = list(map(_text, stored.fresh))
    return [_text(stored.body), *stored[1:4], fresh, stored.cancelled]


def _unpack_response(packed: Any) -> StoredResponse:
    body, response, chunk, events, fresh, cancelled = packed
    values = FreshValues(*map(_bytes, fresh))
    return StoredResponse(_bytes(body), response, chunk, events, values, cancelled)
