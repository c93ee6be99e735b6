"""Stored responses that all servers share, in one Redis.

A worker writes what it has delivered behind the answer, in batches, and reads what another one may
have delivered when a client asks for it, or continues it. What it has read it stores as if it had
delivered it, and answers by itself:

    GET, DELETE, POST /v1/responses/{id}   read -> answer here -> write what has changed
    previous_response_id                   read, back to a response whose conversation is known

A response that is asked for at once may not be written yet, so it is waited for. While Redis cannot
be reached, a worker asks those of its server (`serve.peers`), if there are others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from mockllm.app import App
from mockllm.endpoints.earlier import Elsewhere
from mockllm.engine.decision import DividedWork, FindElsewhere, ForwardRequest, Operation
from mockllm.limits import KIB
from mockllm.pieces import Pieces
from mockllm.prompt import Earlier
from mockllm.serve.connections import Performer
from mockllm.serve.distant.redis_changes import ScriptRunner
from mockllm.serve.distant.redis_link import RedisScript
from mockllm.serve.distant.redis_scripts import LIFETIME
from mockllm.serve.earlier_elsewhere import MAX_LINKS
from mockllm.serve.own_responses import OwnResponses
from mockllm.serve.peer_messages import (
    decode_in_pieces,
    encode_in_pieces,
    pack_responses,
    unpack_responses,
)
from mockllm.serve.turns import Turns
from mockllm.state.responses import (
    MAX_BYTES,
    MAX_RESPONSES,
    OTHER_SERVERS,
    PER_ENTRY,
    StoredResponse,
    own_keys,
)
from mockllm.state.store import StateUnavailableError

MAX_WAIT = 0.5  # seconds for a response that may not be written yet
PAUSE = 0.01  # seconds between two readings meanwhile
RETRY = 1.0  # seconds until Redis is tried again
AT_ONCE = 50  # responses of one script
DELETED = b""
MAX_PIECE = 128 * KIB  # of a response that is read: redis-py copies each several times at once

_FILE = Path(__file__).parent / "redis_responses.lua"
_NOT_STORED = re.compile(rb'"store"\s*:\s*false')


@lru_cache
def responses_script() -> RedisScript:
    """Return the script of all acts on stored responses."""
    constants = {
        "LIFETIME": LIFETIME,
        "MAX_RESPONSES": MAX_RESPONSES,
        "MAX_BYTES": MAX_BYTES,
        "PER_ENTRY": PER_ENTRY,
        "MAX_PIECE": MAX_PIECE,
    }
    lines = "".join(f"local {name} = {number!r}\n" for name, number in constants.items())
    return RedisScript.of(lines + _FILE.read_text("utf-8"))


class DistantResponses:
    """Performs operations about stored responses of all servers, for `app`. The state of mocks is
    that of `store`; without it, `peers` perform them. What takes long is done in `turns`."""

    def __init__(
        self,
        app: App,
        store: ScriptRunner,
        peers: Performer | None,
        turns: Turns,
    ) -> None:
        self._app = app
        self._turns = turns
        self._own = OwnResponses(app, self._turns)
        self._store = store
        self._peers = peers
        self._written = deque[tuple[str, str, StoredResponse | None]](maxlen=MAX_RESPONSES)
        """What is to be written: session, key and response; None where that is deleted."""
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        app.set_peers(frozenset({OTHER_SERVERS}))
        app.responses.when_stored = self.post

    # --- writing ---

    def post(self, stored: StoredResponse) -> None:
        """Write a response soon, unless its request says that it is not to be stored."""
        self._write(stored.session, stored.own_key, stored)

    def _write(self, session: str, own: str, stored: StoredResponse | None) -> None:
        self._written.append((session, own, stored))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    async def _pack(self, stored: StoredResponse | None) -> bytes | None:
        """Return a response as it is written, packed in turns; None if it is not to be."""
        if stored is None:
            return DELETED
        leftovers: list[Any] = []
        work = DividedWork(_pack_in_pieces(stored, leftovers), leftovers)
        packed: bytes | None = await self._turns.finish(work)
        return packed

    async def _write_soon(self) -> None:
        try:
            while self._written:
                try:
                    await self._write_all()
                except StateUnavailableError:
                    await asyncio.sleep(RETRY)
        finally:
            self._task = None

    async def _write_all(self) -> None:
        """Write everything of this moment.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self._writing:
            for _ in range(0, len(self._written), AT_ONCE):
                batch = [*self._written][:AT_ONCE]
                words: list[bytes] = []
                for session, own, stored in batch:
                    packed = await self._pack(stored)
                    if packed is not None:
                        words += (session.encode(), own.encode(), packed)
                if words:
                    await self._run(b"put", b"%d" % (len(words) // 3), *words)
                for each in batch:  # which may have gone for lack of room
                    if self._written and self._written[0] is each:
                        self._written.popleft()

    async def stop(self) -> None:
        """Write everything, before the store is stopped."""
        if self._task is not None:
            self._task.cancel()
        with contextlib.suppress(StateUnavailableError):
            await self._write_all()

    # --- reading ---

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return the results of `operations`, in the same order."""
        try:
            return [await self._perform(each) for each in operations]
        except StateUnavailableError:
            return [await self._perform_in_server(each) for each in operations]

    async def _perform(self, operation: Operation) -> Any:
        if isinstance(operation, FindElsewhere):
            return await self._find(operation.response_id, operation.session)
        assert isinstance(operation, ForwardRequest)  # the app performs those on state
        response_id, session = operation.response_id, operation.session
        await self._read(response_id, session)
        stored = self._app.responses.stored
        before = stored.find(response_id, session)
        reply = await self._perform_here(operation)
        after = stored.find(response_id, session)
        if before is not None and after is None:
            self._write(session, before.own_key, None)
        elif after is not None and after is not before:
            self.post(after)
        if after is not before:
            await self._write_all()  # whoever asks next shall know it
        return reply

    async def _perform_in_server(self, operation: Operation) -> Any:
        """Do without Redis what this worker can do, or else another one of its server."""
        found = await self._perform_here(operation)
        if found is None and self._peers is not None:
            (found,) = await self._peers.perform([operation])
        return found

    async def _perform_here(self, operation: Operation) -> Any:
        if not isinstance(operation, ForwardRequest):
            return None
        return await self._own.reply_to(operation.request, operation.session)

    async def find_earlier(self, response_id: str, session: str) -> None:
        """Find out the conversation that ends with a response of a session, so that this process
        knows it, if any does."""
        here = await self._own.look_back(response_id, session)
        if isinstance(here, Elsewhere):
            with contextlib.suppress(StateUnavailableError):
                await self._find(response_id, session)

    async def _find(self, response_id: str, session: str) -> Earlier | None:
        """Return the conversation that ends with a response of a session; None if nobody knows it.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        for _ in range(MAX_LINKS):
            found = await self._own.look_back(response_id, session)
            if not isinstance(found, Elsewhere):
                return found
            if not await self._read(found.response_id, session):
                return None
        return None

    async def _read(self, response_id: str, session: str) -> bool:
        """Store the response with this id here, if any server has it. Returns True if it is here.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        stored, keys = self._app.responses.stored, own_keys(response_id)
        arguments = [session.encode(), *(key.encode() for key in keys)]
        until = time.monotonic() + MAX_WAIT
        while True:
            await self._write_all()  # also what was delivered here, and Redis did not get
            found = await self._run(b"get", *arguments)
            if found:
                break
            if stored.find(response_id, session) is not None:
                return True  # Redis has forgotten it
            if time.monotonic() > until:
                return False
            await asyncio.sleep(PAUSE)
        if found == [DELETED]:
            known = stored.find(response_id, session)
            if known is not None:
                stored.remove(known.key)
            return False
        for each in await self._turns.perform(_unpack_in_pieces(found)):
            known = stored.find(response_id, session)
            if known is None or known != each:
                stored.append(each)
        return True

    async def _run(self, *words: bytes) -> Any:
        return await self._store.run(responses_script(), words)


def _unpack_in_pieces(packed: Sequence[bytes]) -> Pieces[list[StoredResponse]]:
    """Return what `_pack_in_pieces` packed, whose bytes Redis returned in pieces."""
    text = BytesIO()
    for piece in packed:
        text.write(piece)
        yield False
    return (yield from unpack_responses((yield from decode_in_pieces(text.getvalue()))))


def _pack_in_pieces(stored: StoredResponse, leftovers: list[Any]) -> Pieces[bytes | None]:
    """Return a response as it is written; None if that is too large, or if its request says that it
    is not to be stored. `leftovers` are those of `DividedWork`."""
    body = stored.body
    if _NOT_STORED.search(body):
        yield False
        request = yield from decode_in_pieces(body, leftovers)
        if request.get("store") is False:
            return None
    packed = yield from pack_responses([stored])
    pieces = yield from encode_in_pieces(packed)
    yield True
    text = b"".join(pieces)
    return text if len(text) < MAX_BYTES else None
