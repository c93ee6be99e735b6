"""Changes that all workers of all servers make, in one order, each before it decides on a request
that came later.

They are in a log in Redis (`serve.redis_changes`), which is asked before each decision: one reading
is for all requests that have come before it. A change is checked by one worker, with the lock of
the log, when this worker has made all changes before; it is appended, made here, and then answered.
Workers with open answers that are concerned hear of it by a connection that waits for records.

    a request   read what is new -> make it -> decide
    a change    lock and read -> make what is new -> check -> perform on the state -> append -> make

A new server takes over what the others have become, their own time included, before it answers.
While Redis cannot be reached, requests are decided by what is known, and nothing can be changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from mockllm.app import App
from mockllm.endpoints.control.access import PREFIX as CONTROL
from mockllm.endpoints.control.answers import ControlError
from mockllm.endpoints.control.making import Answer, Check, LocalChanges
from mockllm.endpoints.control.snapshot import take_snapshot
from mockllm.endpoints.control.state import operations_of, settle
from mockllm.engine.changes import (
    Change,
    ClearCalls,
    ForgetWorker,
    GateChange,
    OpenGate,
    OpenSession,
    ReleaseGate,
    SetSpeed,
)
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.engine.packed_changes import Packed, pack, restore, unpack
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.observers.selection import Selection
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.distant_calls import DistantCalls
from mockllm.serve.gates import Gates
from mockllm.serve.redis_calls import ASKED, RedisCalls, pack_selection
from mockllm.serve.redis_changes import (
    NO_LOG,
    RECORDS,
    Found,
    Known,
    RedisChanges,
)
from mockllm.serve.redis_link import LinkError, RedisLink
from mockllm.serve.redis_store import RedisStore, number_of
from mockllm.serve.restoring import UNDECIDED, is_large, restore_aside
from mockllm.state.store import Condition, StateUnavailableError

logger = logging.getLogger("mockllm")

LISTENING = 1.0  # seconds in which a worker hears nothing, after which it reads all the same
MAX_SLICE = 0.004  # seconds in which changes are made before other work of the loop has its turn
MAX_RETRY = 10_000  # microseconds between two attempts to get the lock
MAX_ENDING = 5.0  # seconds in which tasks end that are cancelled
CANCELLED_AGAIN = 0.05  # seconds after which they are cancelled once more: the client of Redis may
# swallow it


class DistantChanges:
    """The changes of the worker that has this `store`."""

    def __init__(self, store: RedisStore) -> None:
        # of the process
        self._store = store
        self._lease = 2 * store.timeout + 1  # seconds; a change takes three questions
        self._log = RedisChanges(store, lease=self._lease)
        self._listening: asyncio.Task[None] | None = None
        # of the server
        self._app: App
        self._clock: Clock
        self._gates: Gates
        self._local: LocalChanges
        self._calls: DistantCalls | None = None
        # of the log
        self._known = Known()
        self.making = asyncio.Lock()
        """Of whoever makes what was read: nothing is made while somebody else has it."""
        self._alive: frozenset[int] = frozenset()  # workers, when they were asked for
        self._reading: asyncio.Task[None] | None = None
        self._next_reading: asyncio.Task[None] | None = None
        self._is_missing = False  # True if the last reading has failed
        self._unmarked = ""  # this worker, if Redis is to know that it may have calls
        # of changes of this process
        self._changing = asyncio.Lock()
        self._posted = deque[GateChange]()
        self._posting: asyncio.Task[None] | None = None
        self._tasks = set[asyncio.Task[Sequence[Change] | RequestError]]()

    def use(self, service: Service, local: LocalChanges, calls: DistantCalls | None) -> None:
        """Make the changes of this server, by `local`. Its `calls` are told to the others."""
        self._app, self._clock, self._gates = service.app, service.clock, service.gates
        self._local, self._calls = local, calls
        if calls is not None:
            calls.use(self)
        service.decide = self.decide
        service.app.asks_first = True
        service.app.when_session_ends = service.gates.cut_session
        service.gates.post = self.post
        service.gates.is_alive = self._is_alive

    async def start(self) -> None:
        """Make all changes so far, if Redis can be reached, and those to come as they are made. The
        store is started."""
        await self._read_and_report()
        await self._answer_for_calls()
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Tell the last calls, and end what goes on, before the store is stopped."""
        if self._calls is not None:
            with contextlib.suppress(StateUnavailableError, TimeoutError):
                async with asyncio.timeout(MAX_ENDING):
                    await self._calls.stop()
        if self._posting is not None:
            await asyncio.wait({self._posting}, timeout=self._store.timeout)
        tasks = {self._listening, self._posting, self._reading, self._next_reading, *self._tasks}
        ending = {task for task in tasks if task is not None and not task.done()}
        until = time.monotonic() + MAX_ENDING
        while ending and time.monotonic() < until:
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=CANCELLED_AGAIN)

    @property
    def known(self) -> Known:
        """The changes that are made here."""
        return self._known

    def call_log(self, max_entries: int) -> RedisCalls:
        """Return the log of the calls of all servers, in which this worker tells its own."""
        return RedisCalls(self._store, self._store.name, self._log.time, max_entries)

    # --- what others have changed ---

    def decide(self, request: Request) -> Decision | Question:
        """Decide as the app does, once all changes are made that were made before `request`."""
        if request.path in UNDECIDED or not self._can_ask:
            return self._app.decide(request)
        if self._calls is not None and not request.path.startswith(CONTROL):
            self._unmarked = self._calls.unmarked
        asked = (Wait(self.catch_up, is_brief=True),)
        return Question(asked, lambda results: self._app.decide(request))

    @property
    def _can_ask(self) -> bool:
        return self._store.condition in (Condition.JOINING, Condition.SHARED)

    async def catch_up(self) -> None:
        """Make all changes that were made before this moment, if that is possible in time."""
        if self._next_reading is None:
            self._next_reading = asyncio.create_task(self._read_next(self._reading))
        await asyncio.wait({self._next_reading}, timeout=self._store.timeout)

    async def _read_next(self, before: asyncio.Task[None] | None) -> None:
        """Read after the reading `before`, for all who have asked until then."""
        if before is not None:
            await asyncio.wait({before})
        self._reading, self._next_reading = self._next_reading, None
        await self._read_and_report()

    async def _read_and_report(self) -> None:
        """Read, and log once that this is not possible."""
        try:
            await self._read()
        except StateUnavailableError as exc:
            if not self._is_missing:
                logger.warning(
                    "what other servers have changed cannot be read; until it can, requests are "
                    "answered by what is known: %s",
                    exc.message,
                )
            self._is_missing = True
        except Exception:
            logger.exception("internal error reading what was changed")
        else:
            if self._is_missing:
                logger.warning("what other servers have changed is known again")
            self._is_missing = False

    async def _read(self) -> None:
        """Make all changes so far.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self.making:
            wants_owners = bool(self._gates.states.workers)
            while True:
                found = await self._read_marking(wants_owners=wants_owners)
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
        unmarked, self._unmarked = self._unmarked, ""
        if unmarked and self._calls is not None:
            self._calls.note_marked()
        return await self._log.read(self._known, wants_owners=wants_owners, pending=unmarked)

    async def _begin_log(self) -> None:
        """Begin a log with what this worker knows."""
        taken = take_snapshot(self._app, self._clock, self._gates.states)
        number = self._app.views.highest + 1
        await self._log.begin(self._known, self._pack(taken), number)

    async def _make_found(self, found: Found) -> None:
        """Make what was read, with pauses."""
        if found.begins_anew:
            self._local.begin_anew()
        if self._calls is not None and self._known.name not in (NO_LOG, found.known.name):
            self._calls.note_forgotten()
        if self._calls is not None and self._known.name != NO_LOG and found.begins_anew:
            self._calls.begin_anew()
        until = time.monotonic() + MAX_SLICE
        for record in found.records:
            for packed in unpack(record):
                await self._remake(packed)
                if time.monotonic() > until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + MAX_SLICE
        self._known = found.known

    async def _remake(self, packed: Packed) -> None:
        try:
            if is_large(packed):
                change = await restore_aside(packed, self._app)
            else:
                change = restore(packed, self._app.engine)
            if isinstance(change, SetSpeed):
                change = change._replace(at=self._log.time.from_server(change.at))
            self._make(change)
        except Exception:
            # it was checked where it was made; the configuration may be another one
            logger.exception("a change cannot be made here: %s", packed[0])

    def _make(self, change: Change) -> None:
        self._local.make(change)
        if isinstance(change, ClearCalls) and self._calls is not None:
            self._calls.drop(Selection(*change))

    def _pack(self, changes: Sequence[Change]) -> bytes:
        return pack(
            each._replace(at=self._log.time.to_server(each.at))
            if isinstance(each, SetSpeed)
            else each
            for each in changes
        )

    async def _listen(self) -> None:
        """Make changes soon after they are made, also if no request comes."""
        link = self._store.new_link(LISTENING + self._store.timeout)
        try:
            while True:
                await self._wait_for_change(link)
                if self._can_ask:
                    await self.catch_up()
                    await self._answer_for_calls()
                    self._post_soon()
        finally:
            await link.close()

    async def _answer_for_calls(self) -> None:
        """Tell the calls of this worker, if somebody has asked for them."""
        if self._calls is None:
            return
        try:
            await self._calls.answer()
        except StateUnavailableError:
            pass  # it is reported, and asked again
        except Exception:
            logger.exception("internal error telling calls to other servers")

    async def _wait_for_change(self, link: RedisLink) -> None:
        """Wait until there is something to read, or for so long that one should look."""
        if self._can_ask and not self._is_missing:
            with contextlib.suppress(LinkError):
                streams = {RECORDS: self._known.position}
                if self._calls is not None:
                    streams[ASKED] = self._calls.answered
                await link.wait_for_entry(streams, LISTENING)
                return
        await asyncio.sleep(LISTENING)

    # --- who is alive ---

    def _note_alive(self, found: Found) -> None:
        self._alive = frozenset(map(number_of, found.owners))

    def _is_alive(self, worker: int) -> bool:
        return worker == self._store.number or worker in self._alive

    # --- what this process changes ---

    def with_numbers(
        self, count: int, go_on: Callable[[Sequence[int]], Decision | Question]
    ) -> Question:
        """Go on with numbers for added mocks, as every Changes does."""

        async def take() -> Sequence[int] | RequestError:
            try:
                numbers = await self._log.take_numbers(count)
            except StateUnavailableError as exc:
                return _not_changed(exc)
            return _no_log() if numbers is None else numbers

        def resume(results: Sequence[Any]) -> Decision | Question:
            (found,) = results
            if isinstance(found, RequestError):
                raise found
            return go_on(found)

        return Question((Wait(take),), resume)

    def commit(self, check: Check, answer: Answer) -> Question:
        """Return the question after which `answer` follows, once the changes of `check` are made,
        as every Changes does."""

        def resume(results: Sequence[Any]) -> Decision | Question:
            (found,) = results
            if isinstance(found, RequestError):
                raise found
            return answer(found)

        return Question((Wait(lambda: self._commit_later(check)),), resume)

    async def make(self, changes: Sequence[Change]) -> RequestError | None:
        """Let all servers make changes. Returns why they are not made."""
        made = await self._commit_later(lambda: changes)
        return made if isinstance(made, RequestError) else None

    async def _commit_later(self, check: Check) -> Sequence[Change] | RequestError:
        """Return the changes of `check` once they are made, or the reason why they are not. A
        client that leaves does not end them halfway."""
        task = asyncio.create_task(self._commit(check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _commit(self, check: Check) -> Sequence[Change] | RequestError:
        try:
            async with self._locked():
                changes = [each for change in check() for each in self._without_dead(change)]
                operations = operations_of(changes)
                results = await self._app.store.perform_later(operations) if operations else ()
                settled = settle(changes, results)
                await self._publish(settled)
                return settled
        except StateUnavailableError as exc:
            return _not_changed(exc)
        except RequestError as exc:
            return exc

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """Have the lock of the log, and all changes made, while the context is open.

        Raises:
            ControlError: 503, others have had the lock all the time.
            StateUnavailableError: Redis cannot be reached in time.
        """
        until = time.monotonic() + self._lease + self._store.timeout
        async with self._changing:
            while not await self._lock():
                if time.monotonic() > until:
                    raise _busy()
                await asyncio.sleep(secrets.randbelow(MAX_RETRY) / 1e6)  # for all to have turns
            try:
                await self._read()
                yield
            finally:
                with contextlib.suppress(StateUnavailableError):
                    await self._log.unlock()

    async def _lock(self) -> bool:
        """Return True if this worker has the lock from now on; it knows who is alive then."""
        async with self.making:
            found = await self._log.lock(self._known)
            if found is None:
                return False
            self._note_alive(found)
            if found.known.name != NO_LOG:
                await self._make_found(found)
            return True

    def _without_dead(self, change: Change) -> Iterator[Change]:
        """Yield the change, and before it what keeps a release from an answer that has died."""
        if isinstance(change, ReleaseGate | OpenGate):
            for worker in self._gates.states.workers:
                if not self._is_alive(worker):
                    yield ForgetWorker(worker)
        yield change

    async def _publish(self, changes: Sequence[Change]) -> None:
        """Append changes to the log, and make them here.

        Raises:
            ControlError: 503, the lock was lost meanwhile.
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self.making:
            dropped = [pack_selection(each) for each in map(_dropped, changes) if each is not None]
            appended = await self._log.append(self._known, self._pack(changes), dropped)
            if appended is None:
                raise _busy()
            for change in changes:
                self._make(change)
            self._known, is_long = appended
            if is_long:
                await self._compact()

    async def _compact(self) -> None:
        taken = take_snapshot(self._app, self._clock, self._gates.states)
        try:
            await self._log.compact(self._known, self._pack(taken))
        except StateUnavailableError as exc:
            logger.warning("the log of changes cannot be shortened: %s", exc.message)

    # --- what happens at gates ---

    def post(self, change: GateChange) -> None:
        """Make a change of gates, soon."""
        self._posted.append(change)
        self._post_soon()

    def _post_soon(self) -> None:
        if self._posted and self._posting is None and self._can_ask:
            self._posting = asyncio.get_running_loop().create_task(self._post_all())

    async def _post_all(self) -> None:
        try:
            while self._posted:
                async with self._locked():
                    posted = [*self._posted]
                    await self._publish(
                        [each for one in posted for each in self._without_dead(one)]
                    )
                    for _ in posted:
                        self._posted.popleft()
        except RequestError as exc:  # it is tried again with the next one, or by whoever listens
            logger.warning("what happens at gates is not known to other servers: %s", exc.message)
        finally:
            self._posting = None


def _dropped(change: Change) -> Selection | None:
    """Return the calls that a change drops."""
    match change:
        case ClearCalls():
            return Selection(*change)
        case OpenSession(session, _, True):
            return Selection(session)
    return None


def _busy() -> ControlError:
    message = "Another server has been making a change for too long: try again"
    return ControlError(503, "busy", message)


def _not_changed(exc: StateUnavailableError) -> ControlError:
    if exc.code == "state_refused":
        message = (
            "Servers with another configuration share the state: nothing can be changed until all "
            "have the same"
        )
    else:
        message = (
            "It is not known whether the change is made, because what servers share cannot be "
            "reached in time: read what holds, and try again"
        )
    return ControlError(503, exc.code or "state_lost", message)


def _no_log() -> ControlError:
    message = "Redis has just forgotten what was changed: try again"
    return ControlError(503, "state_lost", message)
