"""Changes that all workers of all servers make, in one order, each before it decides on a request
that came later.

They are in a log in Redis (`redis_changes`), which is asked before each decision: one reading
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

from mockllm.app import App
from mockllm.endpoints.control.access import PREFIX as CONTROL
from mockllm.endpoints.control.making import Answer, Check, LocalChanges
from mockllm.endpoints.control.refusals import ControlError
from mockllm.endpoints.control.state import operations_of, settle
from mockllm.engine.changes import (
    Change,
    ForgetWorker,
    GateChange,
    OpenGate,
    ReleaseGate,
)
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.serve.begun_changes import BegunChanges, go_on_after
from mockllm.serve.change_follower import ChangeFollower, busy
from mockllm.serve.connections import Service
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.redis_calls import ASKED, RedisCalls
from mockllm.serve.distant.redis_changes import (
    RECORDS,
    Known,
    RedisChanges,
)
from mockllm.serve.distant.redis_link import LinkError, RedisLink
from mockllm.serve.distant.redis_store import RedisStore
from mockllm.serve.gates import Gates
from mockllm.serve.restoring import UNDECIDED
from mockllm.state.store import Condition, StateUnavailableError

logger = logging.getLogger("mockllm")

LISTENING = 1.0  # seconds in which a worker hears nothing, after which it reads all the same
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
        log = RedisChanges(store, lease=self._lease)
        self.follower = ChangeFollower(store, log)
        self._listening: asyncio.Task[None] | None = None
        # of the server
        self._app: App
        self._gates: Gates
        self._calls: DistantCalls | None = None
        # of changes of this process
        self._changing = asyncio.Lock()
        self._posted = deque[GateChange]()
        self._posting: asyncio.Task[None] | None = None
        self._begun = BegunChanges()

    def use(self, service: Service, local: LocalChanges, calls: DistantCalls | None) -> None:
        """Make the changes of this server, by `local`. Its `calls` are told to the others."""
        self._app, self._gates, self._calls = service.app, service.gates, calls
        self.follower.use(service, local, calls)
        if calls is not None:
            calls.use(self)
        service.decide = self.decide
        service.app.asks_first = True
        service.app.when_session_ends = service.gates.cut_session
        service.gates.post = self.post
        service.gates.is_alive = self.follower.is_alive

    async def start(self) -> None:
        """Make all changes so far, if Redis can be reached, and those to come as they are made. The
        store is started."""
        await self.follower.read_and_report()
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
        tasks = {self._listening, self._posting, *self.follower.tasks, *self._begun.tasks}
        ending = {task for task in tasks if task is not None and not task.done()}
        until = time.monotonic() + MAX_ENDING
        while ending and time.monotonic() < until:
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=CANCELLED_AGAIN)

    @property
    def known(self) -> Known:
        """The changes that are made here."""
        return self.follower.known

    @property
    def making(self) -> asyncio.Lock:
        """Of whoever makes what was read: nothing is made while somebody else has it."""
        return self.follower.making

    async def catch_up(self) -> None:
        """Make all changes so far."""
        await self.follower.catch_up()

    def call_log(self, max_entries: int) -> RedisCalls:
        """Return the log of the calls of all servers, in which this worker tells its own."""
        return RedisCalls(self._store, self._store.name, self.follower.log.time, max_entries)

    # --- what others have changed ---

    def decide(self, request: Request) -> Decision | Question:
        """Decide as the app does, once all changes are made that were made before `request`."""
        if request.path in UNDECIDED or not self._can_ask:
            return self._app.decide(request)
        if self._calls is not None and not request.path.startswith(CONTROL):
            self.follower.unmarked = self._calls.untold.unmarked
        asked = (Wait(self.catch_up, is_brief=True),)
        return Question(asked, lambda results: self._app.decide(request))

    @property
    def _can_ask(self) -> bool:
        return self._store.condition in (Condition.JOINING, Condition.SHARED)

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
            await self._calls.untold.answer()
        except StateUnavailableError:
            pass  # it is reported, and asked again
        except Exception:
            logger.exception("internal error telling calls to other servers")

    async def _wait_for_change(self, link: RedisLink) -> None:
        """Wait until there is something to read, or for so long that one should look."""
        if self._can_ask and not self.follower.is_missing:
            with contextlib.suppress(LinkError):
                streams = {RECORDS: self.known.position}
                if self._calls is not None:
                    streams[ASKED] = self._calls.untold.answered
                await link.wait_for_entry(streams, LISTENING)
                return
        await asyncio.sleep(LISTENING)

    # --- what this process changes ---

    def with_numbers(
        self, count: int, go_on: Callable[[Sequence[int]], Decision | Question]
    ) -> Question:
        """Go on with numbers for added mocks, as every Changes does."""

        async def take() -> Sequence[int] | RequestError:
            try:
                numbers = await self.follower.log.take_numbers(count)
            except StateUnavailableError as exc:
                return _not_changed(exc)
            return _no_log() if numbers is None else numbers

        return go_on_after(take, go_on)

    def commit(self, check: Check, answer: Answer) -> Question:
        """Return the question after which `answer` follows, once the changes of `check` are made,
        as every Changes does."""
        return go_on_after(lambda: self._begun.finish(self._commit(check)), answer)

    async def make(self, changes: Sequence[Change]) -> RequestError | None:
        """Let all servers make changes. Returns why they are not made."""
        made = await self._begun.finish(self._commit(lambda: changes))
        return made if isinstance(made, RequestError) else None

    async def _commit(self, check: Check) -> Sequence[Change] | RequestError:
        try:
            async with self._locked():
                changes = [each for change in check() for each in self._without_dead(change)]
                operations = operations_of(changes)
                results = await self._app.store.perform_later(operations) if operations else ()
                settled = settle(changes, results)
                await self.follower.publish(settled)
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
            while not await self.follower.lock():
                if time.monotonic() > until:
                    raise busy()
                await asyncio.sleep(secrets.randbelow(MAX_RETRY) / 1e6)  # for all to have turns
            try:
                await self.follower.read()
                yield
            finally:
                with contextlib.suppress(StateUnavailableError):
                    await self.follower.log.unlock()

    def _without_dead(self, change: Change) -> Iterator[Change]:
        """Yield the change, and before it what keeps a release from an answer that has died."""
        if isinstance(change, ReleaseGate | OpenGate):
            for worker in self._gates.states.workers:
                if not self.follower.is_alive(worker):
                    yield ForgetWorker(worker)
        yield change

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
                    await self.follower.publish(
                        [each for one in posted for each in self._without_dead(one)]
                    )
                    for _ in posted:
                        self._posted.popleft()
        except RequestError as exc:  # it is tried again with the next one, or by whoever listens
            logger.warning("what happens at gates is not known to other servers: %s", exc.message)
        finally:
            self._posting = None


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
