"""Requests between the worker processes of a server, each of which stores only its own responses.

Before it forks, the supervisor creates a `Switchboard`: a listening Unix socket for each slot, in a
directory that is private to the user. The worker in a slot accepts on its socket; the others
connect to it. The supervisor keeps all sockets open, so no connection is refused while a worker is
replaced.

A connection carries one message and its answer:

    {"decide": request}    the reply to a request that another worker received, or null
    {"export": true}       all stored responses
    {"import": responses, "removed": keys}
                           null, once the responses are stored and those with the keys removed

A worker that replaces another first imports its responses. While the replaced one drains, it sends
its successor what has changed: the responses that it still delivers, cancels and deletes. So a
response is always found in the slot that its id names.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

from mockllm.app import App
from mockllm.engine.decision import ForwardRequest, Operation
from mockllm.errors import ClientError
from mockllm.exchange import Reply
from mockllm.serve.address import BACKLOG, reason_of
from mockllm.serve.peer_messages import (
    pack_reply,
    pack_request,
    pack_responses,
    read_message,
    unpack_reply,
    unpack_request,
    unpack_responses,
    write_message,
)
from mockllm.state.responses import StoredResponse

MAX_WAIT = 0.1  # seconds for the answer of another worker
MAX_HANDOVER = 2.0  # seconds to transfer all responses of a worker
SHORT_TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108  # the path of a Unix socket has 104 bytes
BUSY = "The worker that may have the response is busy. Retry the request."

logger = logging.getLogger("mockllm")


class Switchboard:
    """The sockets on which workers listen for one another, one for each slot."""

    def __init__(self, slots: int) -> None:
        """Bind the sockets of `slots` workers. Without a directory for them, which is logged, there
        are none, and each worker knows its own responses only."""
        self.paths: list[Path] = []
        self.sockets: list[socket.socket] = []
        self._folder: Path | None = None
        reasons = []
        for parent in dict.fromkeys([tempfile.gettempdir(), SHORT_TEMPORARY_DIRECTORY]):
            try:
                self._bind(parent, slots)
                return
            except OSError as exc:
                self.close()
                reasons.append(f"{parent}: {reason_of(exc)}")
        message = "workers cannot retrieve each other's responses: no sockets in %s"
        logger.warning(message, "; ".join(reasons))

    def _bind(self, parent: str, slots: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mockllm-", dir=parent))
        self.paths = [self._folder / str(slot) for slot in range(slots)]
        for path in self.paths:
            sock = socket.socket(socket.AF_UNIX)
            self.sockets.append(sock)
            sock.bind(str(path))
            sock.listen(BACKLOG)
            sock.setblocking(False)

    def close_but(self, slot: int) -> None:
        """Close the sockets of all slots but one, in the worker of that slot."""
        for number, sock in enumerate(self.sockets):
            if number != slot:
                sock.close()

    def close(self) -> None:
        """Close all sockets and remove their files."""
        for sock in self.sockets:
            sock.close()
        self.sockets, self.paths = [], []
        self.remove_files()

    def remove_files(self) -> None:
        """Remove the files of the sockets, and their directory."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class _NoAnswer(Enum):
    """The reason why a worker did not answer."""

    BUSY = auto()
    GONE = auto()


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
        self._handed_over: dict[str, StoredResponse] = {}
        app.set_peers(frozenset(self._others))

    async def start(self) -> None:
        """Start to answer other workers. A successor first imports the responses of the worker that
        it replaces."""
        board, slot, successor = self._place
        if not board.sockets:
            return
        if successor:
            responses = await self._ask(slot, {"export": True}, MAX_HANDOVER)
            if isinstance(responses, _NoAnswer):
                logger.warning("worker %d lost the responses of the worker that it replaces", slot)
            else:
                self._import(responses)
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
        stored = self._stored_by_key()
        known, self._handed_over = self._handed_over, stored
        changed = [each for key, each in stored.items() if known.get(key) is not each]
        removed = [key for key in known if key not in stored]
        if self._paths and (changed or removed):
            message = {"import": pack_responses(changed), "removed": removed}
            answer = await self._ask(self._place.slot, message, MAX_HANDOVER)
            if isinstance(answer, _NoAnswer):
                reason = "worker %d could not hand over %d responses"
                logger.warning(reason, self._place.slot, len(changed))

    def stop(self) -> None:
        """Stop answering other workers."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def remove_socket_files(self) -> None:
        """Remove the files of all workers' sockets."""
        self._place.switchboard.remove_files()

    async def _perform(self, operation: Operation) -> Reply | None:
        assert isinstance(operation, ForwardRequest)  # the app performs those on state
        message = {"decide": pack_request(operation.request)}
        slots = self._others if operation.slot is None else [operation.slot]
        answers = await asyncio.gather(*(self._ask(slot, message, MAX_WAIT) for slot in slots))
        for answer in answers:
            if answer is not None and not isinstance(answer, _NoAnswer):
                return unpack_reply(answer)
        if _NoAnswer.BUSY in answers:
            return self._app.render_error(operation.request, ClientError(503, BUSY))
        return None

    async def _ask(self, slot: int, message: Any, seconds: float) -> Any:
        """Return the answer of the worker in `slot`, or why there is none after `seconds`."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(self._paths[slot])
                write_message(writer, message)
                return await read_message(reader)
        except TimeoutError:  # before OSError, of which it is a subclass
            return _NoAnswer.BUSY
        except (OSError, asyncio.IncompleteReadError):
            return _NoAnswer.GONE
        finally:
            if writer is not None:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            write_message(writer, self._answer(await read_message(reader)))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other worker has died or no longer waits
        except Exception:
            logger.exception("internal error answering another worker")
        finally:
            writer.close()

    def _answer(self, message: Any) -> Any:
        match message:
            case {"decide": request}:
                reply = self._app.decide_forwarded(unpack_request(request))
                return None if reply is None else pack_reply(reply)
            case {"export": _}:
                self._handed_over = self._stored_by_key()
                return pack_responses(self._handed_over.values())
            case {"import": responses, "removed": keys}:
                self._import(responses)
                for key in keys:
                    self._app.stored_responses.remove(key)
        return None

    def _import(self, packed: Any) -> None:
        for stored in unpack_responses(packed):
            self._app.stored_responses.append(stored)

    def _stored_by_key(self) -> dict[str, StoredResponse]:
        return {stored.key: stored for stored in self._app.stored_responses.all()}
