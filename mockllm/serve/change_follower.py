"""The log of changes as one worker follows it: what others have changed is made here.

One reading is for all who have asked before it begins. Whoever makes what was read, or changes
something, does so while nobody else does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from mockllm.app import App
from mockllm.endpoints.control.making import LocalChanges
from mockllm.endpoints.control.refusals import ControlError
from mockllm.endpoints.control.snapshot import take_snapshot
from mockllm.engine.changes import Change, ClearCalls, OpenSession, SetSpeed
from mockllm.engine.packed_changes import Packed, pack, restore, unpack
from mockllm.observers.selection import CallSelection
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.redis_calls import pack_selection
from mockllm.serve.distant.redis_changes import NO_LOG, Found, Known, RedisChanges
from mockllm.serve.distant.redis_store import RedisStore, number_of
from mockllm.serve.gates import Gates
from mockllm.serve.patience import wait_for
from mockllm.serve.restoring import is_large, restore_aside
from mockllm.state.store import StateUnavailableError

logger = logging.getLogger("mockllm")

MAX_SLICE = 0.004  # seconds in which changes are made before other work of the loop has its turn


class ChangeFollower:
    """Follows the `log` for the worker that has this `store`."""

    def __init__(self, store: RedisStore, log: RedisChanges) -> None:
        # of the process
        self._number = store.number
        self._patience = store.timeout
        self.log = log
        # of the server
        self._app: App
        self._clock: Clock
        self._gates: Gates
        self._local: LocalChanges
        self._calls: DistantCalls | None = None
        # of the log
        self.known = Known()
        """The changes that are made here."""
        self.making = asyncio.Lock()
        """Of whoever makes what was read: nothing is made while somebody else has it."""
        self.is_missing = False
        """True if the last reading has failed."""
        self.unmarked = ""
        """The name of this worker, if Redis is to know that it may have calls."""
        self._alive: frozenset[int] = frozenset()  # workers, when they were asked for
        self._reading: asyncio.Task[None] | None = None
        self._next_reading: asyncio.Task[None] | None = None
        self._is_making = False
        self._readings = 0  # that Redis has answered

    def use(self, service: Service, local: LocalChanges, calls: DistantCalls | None) -> None:
        """Make the changes of this server, by `local`. Its `calls` are told to the others."""
        self._app, self._clock, self._gates = service.app, service.clock, service.gates
        self._local, self._calls = local, calls

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The readings that go on."""
        return {task for task in (self._reading, self._next_reading) if task is not None}

    # --- reading ---

    async def catch_up(self) -> None:
        """Make all changes that were made before this moment, unless Redis does not answer in time.
        What takes long to make is waited for."""
        if self._next_reading is None:
            self._next_reading = asyncio.create_task(self._read_next(self._reading))
        reading, before = self._next_reading, -1
        while not reading.done() and (self._is_making or self._readings != before):
            before = self._readings
            await wait_for(reading, self._patience)

    async def _read_next(self, before: asyncio.Task[None] | None) -> None:
        """Read after the reading `before`, for all who have asked until then."""
        if before is not None:
            await asyncio.wait({before})
        self._reading, self._next_reading = self._next_reading, None
        await self.read_and_report()

    async def read_and_report(self) -> None:
        """Read, and log once that this is not possible."""
        try:
            await self.read()
        except StateUnavailableError as exc:
            if not self.is_missing:
                logger.warning(
                    "what other servers have changed cannot be read; until it can, requests are "
                    "answered by what is known: %s",
                    exc.message,
                )
            self.is_missing = True
        except Exception:
            logger.exception("internal error reading what was changed")
        else:
            if self.is_missing:
                logger.warning("what other servers have changed is known again")
            self.is_missing = False

    async def read(self) -> None:
        """Make all changes so far.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self.making:
            wants_owners = bool(self._gates.states.workers)
            while True:
                found = await self._read_marking(wants_owners=wants_owners)
                self._readings += 1
                if wants_owners:
                    self._note_alive(found)
                if found.known.name == NO_LOG:
                    await self._begin_log()
                    continue
                await self._make_found(found)
                if found.known.position == found.end:
                    return

    async def _read_marking(self, *, wants_owners: bool) -> Found:
        """Read, and let Redis know that this worker may have calls soon, if there is a request."""
        unmarked, self.unmarked = self.unmarked, ""
        found = await self.log.read(self.known, wants_owners=wants_owners, pending=unmarked)
        if unmarked and self._calls is not None:
            self._calls.untold.note_marked()
        return found

    async def _begin_log(self) -> None:
        """Begin a log with what this worker knows."""
        taken = take_snapshot(self._app, self._clock, self._gates.states)
        number = self._app.views.highest + 1
        await self.log.begin(self.known, self._pack(taken), number)

    async def _make_found(self, found: Found) -> None:
        """Make what was read, with pauses."""
        if found.begins_anew:
            self._local.begin_anew()
        if self._calls is not None and self.known.name not in (NO_LOG, found.known.name):
            self._calls.untold.note_forgotten()
        if self._calls is not None and self.known.name != NO_LOG and found.begins_anew:
            self._calls.untold.begin_anew()
        self._is_making = True
        try:
            until = time.monotonic() + MAX_SLICE
            for record in found.records:
                for packed in unpack(record):
                    await self._remake(packed)
                    if time.monotonic() > until:
                        await asyncio.sleep(0)
                        until = time.monotonic() + MAX_SLICE
        finally:
            self._is_making = False
        self.known = found.known

    async def _remake(self, packed: Packed) -> None:
        try:
            if is_large(packed):
                change = await restore_aside(packed, self._app)
            else:
                change = restore(packed, self._app.engine)
            if isinstance(change, SetSpeed):
                change = change._replace(at=self.log.time.from_server(change.at))
            self._make(change)
        except Exception:
            # it was checked where it was made; the configuration may be another one
            logger.exception("a change cannot be made here: %s", packed[0])

    def _make(self, change: Change) -> None:
        self._local.make(change)
        if isinstance(change, ClearCalls) and self._calls is not None:
            self._calls.drop(CallSelection(*change))

    def _pack(self, changes: Sequence[Change]) -> bytes:
        return pack(
            each._replace(at=self.log.time.to_server(each.at))
            if isinstance(each, SetSpeed)
            else each
            for each in changes
        )

    # --- who is alive ---

    def _note_alive(self, found: Found) -> None:
        self._alive = frozenset(map(number_of, found.owners))

    def is_alive(self, worker: int) -> bool:
        """Return True if this worker was alive when that was asked for last."""
        return worker == self._number or worker in self._alive

    # --- changing ---

    async def lock(self) -> bool:
        """Return True if this worker has the lock from now on; it knows who is alive then."""
        async with self.making:
            found = await self.log.lock(self.known)
            if found is None:
                return False
            self._note_alive(found)
            if found.known.name != NO_LOG:
                await self._make_found(found)
            return True

    async def publish(self, changes: Sequence[Change]) -> None:
        """Append changes to the log, and make them here.

        Raises:
            ControlError: 503, the lock was lost meanwhile.
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self.making:
            dropped = [pack_selection(each) for each in map(_dropped, changes) if each is not None]
            appended = await self.log.append(self.known, self._pack(changes), dropped)
            if appended is None:
                raise busy()
            for change in changes:
                self._make(change)
            self.known, is_long = appended
            if is_long:
                await self._compact()

    async def _compact(self) -> None:
        taken = take_snapshot(self._app, self._clock, self._gates.states)
        try:
            await self.log.compact(self.known, self._pack(taken))
        except StateUnavailableError as exc:
            logger.warning("the log of changes cannot be shortened: %s", exc.message)


def _dropped(change: Change) -> CallSelection | None:
    """Return the calls that a change drops."""
    match change:
        case ClearCalls():
            return CallSelection(*change)
        case OpenSession(session, _, True):
            return CallSelection(session)
    return None


def busy() -> ControlError:
    """Return a 503: others have had the lock."""
    message = "Another server has been making a change for too long: try again"
    return ControlError(503, "busy", message)
