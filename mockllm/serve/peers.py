"""Requests between the worker processes of a server, each of which stores only its own responses.

Before it forks, the supervisor creates a `Switchboard`: a listening Unix socket for each slot, in a
directory that is private to the user. The worker in a slot accepts on its socket; the others
connect to it. The supervisor keeps all sockets open, so no connection is refused while a worker is
replaced.

A message is its length in four bytes and a JSON text. A connection carries one and its answer:

    {"decide": request}    the reply to a request that another worker received, or null
    {"export": true}       all stored responses
    {"import": responses}  null, once they are stored

A worker that replaces another first imports its responses. While the replaced one drains, it sends
its successor those that it still delivers. So a response is always found in the slot that its id
names.
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
MAX_HANDOVER = 2.0  # seconds to transfer all responses of a worker
MAX_MESSAGE = 256 * MIB

_LENGTH_BYTES = 4


class Switchboard:
    """The sockets on which workers listen for one another, one for each slot."""

    def __init__(self, slots: int) -> None:
        """Bind the sockets of `slots` workers.

        Raises:
            ListenError: they cannot be created in the temporary directory.
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
        """Close the sockets of all slots but one, in the worker of that slot."""
        for number, sock in enumerate(self.sockets):
            if number != slot:
                sock.close()

    def close(self) -> None:
        """Close all sockets and remove their files."""
        for sock in self.sockets:
            sock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Place(NamedTuple):
    """The slot of a worker. A `successor` replaces a worker that is still running."""

    switchboard: Switchboard
    slot: int
    successor: bool


class Peers:
    """Performs operations in the other workers, and answers those of the others in this one."""

    def __init__(self, app: App, place: Place) -> None:
        self._app = app
        self._place = place
        self._paths = place.switchboard.paths
        self._others = [slot for slot in range(len(self._paths)) if slot != place.slot]
        self._server: asyncio.Server | None = None
        self._handed_over: set[str] = set()
        app.set_peers(frozenset(self._others))

    async def start(self) -> None:
        """Start to answer other workers. A successor first imports the responses of the worker that
        it replaces."""
        board, slot, successor = self._place
        if successor:
            responses = await self._ask(slot, {"export": True}, MAX_HANDOVER)
            self._import(responses or ())
        # a copy, to be closed while the switchboard's stays open
        options: dict[str, Any] = {"sock": board.sockets[slot].dup()}
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is the switchboard's
        self._server = await asyncio.start_unix_server(self._serve, **options)

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return the results of `operations`, in the same order."""
        return await asyncio.gather(*map(self._perform, operations))

    async def hand_over(self) -> None:
        """Stop answering other workers, and send the successor the responses that it lacks."""
        self.stop()
        stored = self._app.stored_responses.all()
        fresh = [each for each in stored if each.key not in self._handed_over]
        if fresh:
            self._handed_over.update(each.key for each in fresh)
            message = {"import": list(map(_pack_response, fresh))}
            await self._ask(self._place.slot, message, MAX_HANDOVER)

    def stop(self) -> None:
        """Stop answering other workers."""
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
        """Return the answer of the worker in `slot`; None if it does not answer in `seconds`."""
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
            case {"export": _}:
                stored = self._app.stored_responses.all()
                self._handed_over.update(each.key for each in stored)
                return list(map(_pack_response, stored))
            case {"import": responses}:
                self._import(responses)
        return None

    def _import(self, responses: Sequence[Any]) -> None:
        for packed in responses:
            self._app.stored_responses.append(_unpack_response(packed))


# --- Messages ------------------------------------------------------------------------------------

# JSON has no bytes: they are sent as strings of the characters U+0000 to U+00FF.


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
