"""Requests between the worker processes of a server, each of which stores only its own responses.

Before it forks, the supervisor creates a `Switchboard`: a listening Unix socket for each slot, in a
directory that is private to the user. The worker in a slot accepts on its socket; the others
connect to it. The supervisor keeps all sockets open, so no connection is refused while a worker is
replaced.

A connection carries one message and its answer:

    {"decide": request}    the reply to a request that another worker received, or null
    {"export": true}       all stored responses
    {"earlier": id, ...}   what is known of a conversation (`earlier_elsewhere`)
    {"import": responses, "removed": keys}
                           null, once the responses are stored and those with the keys removed

or several messages, each sent after the answer to the one before; those about calls are described
in `process_calls`. A process is asked for its calls at a socket of its own, beside that of its
slot, because all processes have calls: also one that drains, while its successor serves. At its end
it hands them on.

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
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mockllm.app import App
from mockllm.endpoints.earlier import Elsewhere
from mockllm.endpoints.routing import BUSY_PEER
from mockllm.engine.decision import FindElsewhere, ForwardRequest, Operation
from mockllm.errors import ClientError
from mockllm.exchange import Request
from mockllm.prompt import Earlier
from mockllm.serve.address import BACKLOG, reason_of
from mockllm.serve.call_board import CallBoard
from mockllm.serve.change_log import ChangeBoard
from mockllm.serve.earlier_elsewhere import EarlierElsewhere
from mockllm.serve.own_responses import OwnResponses
from mockllm.serve.peer_lines import NoAnswer, PeerLine
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
from mockllm.serve.process_calls import WORDS, ProcessCalls, name_of
from mockllm.serve.turns import Turns
from mockllm.state.responses import StoredResponse

MAX_WAIT = 1.0  # seconds for the answer of another worker, which may be loading or pre-empted
MAX_HANDOVER = 2.0  # seconds to transfer all responses of a worker
SHORT_TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108  # the path of a Unix socket has 104 bytes

logger = logging.getLogger("mockllm")


class Switchboard:
    """The sockets on which workers listen for one another, one for each slot."""

    def __init__(self, slots: int) -> None:
        """Bind the sockets of `slots` workers. Without a directory for them, which is logged, there
        are none, and each worker knows its own responses and calls only."""
        self.paths: list[Path] = []
        self.sockets: list[socket.socket] = []
        self.calls: CallBoard | None = None
        """The numbers of calls; None without a directory."""
        self._folder: Path | None = None
        reasons = []
        for parent in dict.fromkeys([tempfile.gettempdir(), SHORT_TEMPORARY_DIRECTORY]):
            try:
                self._bind(parent, slots)
                return
            except OSError as exc:
                self.close()
                reasons.append(f"{parent}: {reason_of(exc)}")
        message = "workers cannot retrieve each other's responses and calls: no sockets in %s"
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
        self.calls = CallBoard(self._folder)

    @property
    def folder(self) -> Path:
        """The directory of the sockets.

        Raises:
            ValueError: there is none.
        """
        if self._folder is None:
            raise ValueError("no sockets")
        return self._folder

    def bury(self, process: int, pid: int) -> int:
        """Remove the own socket of a process that is dead. Returns the number of calls that are
        lost with it."""
        if self.calls is None:
            return 0
        lost = self.calls.bury(process)
        (self.folder / name_of(process, pid)).unlink(missing_ok=True)
        return lost

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


class WorkerPlace(NamedTuple):
    """The slot of a worker. A `successor` replaces a worker that is still running. Each process has
    a `number` of its own. The state that workers share is in the directory `state`; `gone` are the
    keys of mocks that earlier configurations had. What is changed while the server runs is on the
    `changes`, if it can be changed."""

    switchboard: Switchboard
    slot: int
    successor: bool
    number: int = 0
    state: Path | None = None
    gone: frozenset[str] = frozenset()
    changes: ChangeBoard | None = None


class Peers:
    """Performs operations in the other workers, and answers those of the others in this one: also
    those about its `calls`, if it has a journal. What takes long is done in `turns`."""

    def __init__(
        self,
        app: App,
        place: WorkerPlace,
        calls: ProcessCalls | None = None,
        *,
        turns: Turns,
    ) -> None:
        self._app = app
        self._turns = turns
        self._own = OwnResponses(app, self._turns)
        self._calls = calls
        self._own_server: asyncio.Server | None = None
        self._asking: set[asyncio.StreamWriter] = set()
        """Connections of the others."""
        self._place = place
        self._paths = place.switchboard.paths
        self._others = [slot for slot in range(len(self._paths)) if slot != place.slot]
        self._server: asyncio.Server | None = None
        self._earlier = EarlierElsewhere(self._own, self._others, self._ask_in_time, self._turns)
        self._handed_over: dict[str, StoredResponse] = {}
        app.set_peers(frozenset(self._others))

    async def start(self) -> None:
        """Start to answer other workers. A successor first imports the responses of the worker that
        it replaces."""
        board, slot = self._place.switchboard, self._place.slot
        if not board.sockets:
            return
        if self._place.successor:
            responses = await self._ask(slot, {"export": True}, MAX_HANDOVER)
            if isinstance(responses, NoAnswer):
                logger.warning("worker %d lost the responses of the worker that it replaces", slot)
            else:
                await self._import(responses)
        # a copy, to be closed while the switchboard's stays open
        options: dict[str, Any] = {"sock": board.sockets[slot].dup()}
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is the switchboard's
        self._server = await asyncio.start_unix_server(self._serve, **options)
        if self._calls is not None:
            path = self._own_path(self._calls)
            self._own_server = await asyncio.start_unix_server(self._serve, path)

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return the results of `operations`, in the same order."""
        return await asyncio.gather(*map(self._perform, operations))

    async def find_earlier(self, response_id: str, session: str) -> None:
        """Find out the conversation that ends with a response of a session, so that this process
        knows it, if any does."""
        here = await self._own.look_back(response_id, session)
        if isinstance(here, Elsewhere):
            found = await self._earlier.find(response_id, session)
            if isinstance(found, Earlier):
                self._app.responses.stored.note_elsewhere(response_id, session, found)

    async def hand_over(self) -> None:
        """Stop answering other workers, and send the successor the responses that it lacks."""
        self.stop()
        stored = self._stored_by_key()
        known, self._handed_over = self._handed_over, stored
        changed = [each for key, each in stored.items() if known.get(key) is not each]
        removed = [key for key in known if key not in stored]
        if self._paths and (changed or removed):
            packed = await self._turns.perform(pack_responses(changed))
            message = {"import": packed, "removed": removed}
            answer = await self._ask(self._place.slot, message, MAX_HANDOVER)
            if isinstance(answer, NoAnswer):
                reason = "worker %d could not hand over %d responses"
                logger.warning(reason, self._place.slot, len(changed))

    async def hand_on_calls(self) -> None:
        """Hand the calls on to the successor, and answer no questions about them any more."""
        calls = self._calls
        if calls is None or self._own_server is None:
            return
        if not await calls.hand_on(self._paths[self._place.slot]):
            logger.warning("worker %d could not hand on its calls", self._place.slot)
        self.close()
        self._own_path(calls).unlink(missing_ok=True)

    def _own_path(self, calls: ProcessCalls) -> Path:
        return self._place.switchboard.folder / calls.name

    def stop(self) -> None:
        """Stop answering other workers in the slot."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Stop answering other workers."""
        self.stop()
        if self._own_server is not None:
            self._own_server.close()
            self._own_server = None
        for writer in self._asking:
            writer.close()

    def remove_socket_files(self) -> None:
        """Remove the files of all workers' sockets."""
        self._place.switchboard.remove_files()

    async def _perform(self, operation: Operation) -> Any:
        if isinstance(operation, FindElsewhere):
            return await self._earlier.find(operation.response_id, operation.session)
        assert isinstance(operation, ForwardRequest)  # the app performs those on state
        message = {"decide": pack_request(operation.request)}
        slots = [each for each in self._others if operation.slot in (None, each)]
        answers = await asyncio.gather(*(self._ask(slot, message, MAX_WAIT) for slot in slots))
        for answer in answers:
            if answer is not None and not isinstance(answer, NoAnswer):
                return await self._turns.perform(unpack_reply(answer))
        if NoAnswer.BUSY in answers:
            return self._app.render_error(operation.request, ClientError(503, BUSY_PEER))
        return None

    async def _ask_in_time(self, slot: int, message: Any) -> Any:
        return await self._ask(slot, message, MAX_WAIT)

    async def _ask(self, slot: int, message: Any, seconds: float) -> Any:
        """Return the answer of the worker in `slot`, or why there is none after `seconds`."""
        line = PeerLine(self._paths[slot], self._turns)
        try:
            return await line.ask(message, seconds)
        finally:
            line.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking.add(writer)
        try:
            while True:
                answer = self._answer(await read_message(reader, self._turns))
                if isinstance(answer, Awaitable):
                    answer = await answer
                await write_message(writer, answer, self._turns)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other worker has no further question, has died or no longer waits
        except asyncio.CancelledError:
            pass  # this process ends; asyncio.streams would log it
        except Exception:
            logger.exception("internal error answering another worker")
        finally:
            self._asking.discard(writer)
            writer.close()

    def _answer(self, message: Any) -> Any:
        match message:
            case {"decide": request}:
                return self._decide(unpack_request(request))
            case {"earlier": response_id, "session": session, "known": known}:
                return self._earlier.tell(response_id, session, known)
            case {"export": _}:
                self._handed_over = self._stored_by_key()
                return self._turns.perform(pack_responses(self._handed_over.values()))
            case {"import": responses, "removed": keys}:
                return self._import(responses, keys)
            case dict() if self._calls is not None and next(iter(message), None) in WORDS:
                return self._calls.answer(message)
        return None

    async def _decide(self, request: Request) -> Any:
        """Return the reply to a request that another worker received; None if it is not known."""
        reply = await self._own.reply_to(request)
        return None if reply is None else await self._turns.perform(pack_reply(reply))

    async def _import(self, packed: Any, removed: Sequence[str] = ()) -> None:
        known = self._app.responses.stored
        for stored in await self._turns.perform(unpack_responses(packed)):
            known.append(stored)
        for key in removed:
            known.remove(key)

    def _stored_by_key(self) -> dict[str, StoredResponse]:
        return {stored.key: stored for stored in self._app.responses.stored.all()}
