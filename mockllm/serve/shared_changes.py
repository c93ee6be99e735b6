"""Changes that all worker processes of a server make, in one order, each before it decides on a
request that came later.

A change is checked by one process, with the lock of the log, when this process has made all changes
before; it is written to the log, made here, and then answered. Every other process compares the
generation before each decision and makes what is new first. Nobody waits for another process: one
that is stopped makes the changes when it goes on. The others are rung (`serve.bells`), because open
answers are concerned too: those that are held at gates, and those whose speed changes. What takes
long to compile is compiled in a thread; requests that come meanwhile are decided after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mockllm.app import App
from mockllm.endpoints.control.making import Answer, Check, LocalChanges
from mockllm.endpoints.control.refusals import ControlError
from mockllm.endpoints.control.snapshot import take_snapshot
from mockllm.endpoints.control.state import operations_of, settle
from mockllm.engine.changes import Change, ForgetWorker, GateChange, OpenGate, ReleaseGate
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.engine.packed_changes import Packed, pack, restore, unpack
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.serve.begun_changes import BegunChanges, go_on_after
from mockllm.serve.bells import Bell
from mockllm.serve.change_log import ChangeBoard, ChangeLog, Tickets, TooFarBehindError
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.gates import Gates
from mockllm.serve.restoring import UNDECIDED, is_large, restore_aside

logger = logging.getLogger("mockllm")

MAX_WAIT = 1.0  # seconds that a change waits for the lock, which is held for a millisecond
RETRY = 0.001  # seconds between two attempts to get it
MAX_SLICE = 0.004  # seconds in which changes are made before other work of the loop has its turn
_BEHIND = -1  # no position in the log


class SharedChanges:
    """The changes of a worker process, the one with this `number`, which no other one has had.
    `give_up` ends the process when it can no longer know what the others know."""

    def __init__(self, board: ChangeBoard, number: int, give_up: Callable[[], None]) -> None:
        # of the process
        self._number = number
        self._bell = Bell(board.folder, number)
        self._numbers = Tickets(board.folder / "mocks")
        self._give_up = give_up
        # of the server
        self._app: App
        self._clock: Clock
        self._gates: Gates
        self._local: LocalChanges
        # of the log
        self._log = ChangeLog(board)
        self._generation = board.generation
        self._made = _BEHIND  # the position up to which all changes are made
        self._unmade = deque[Packed]()
        self._making: asyncio.Task[None] | None = None  # of what takes long, and what follows it
        self._posted = deque[GateChange]()
        self._is_changing = False
        self._retry: asyncio.TimerHandle | None = None
        self._begun = BegunChanges()
        self._hearing = set[asyncio.Task[None]]()

    def use(self, service: Service, local: LocalChanges) -> None:
        """Make the changes of this server, by `local`."""
        self._app, self._clock, self._gates = service.app, service.clock, service.gates
        self._local = local
        service.decide = self.decide
        service.app.changes.follow(self.follow)
        service.app.when_session_ends = service.gates.cut_session
        service.gates.post = self.post
        service.gates.is_alive = self._bell.is_alive

    def start(self) -> None:
        """Make all changes so far, and those to come when the bell rings, in the running loop."""
        self.catch_up(is_patient=True)
        self._bell.listen(self._hear)
        for worker in self._gates.states.workers:
            if not self._bell.is_alive(worker):
                self.post(ForgetWorker(worker))

    def stop(self) -> None:
        """Let other processes know that this one has ended."""
        self._bell.close()

    def close(self) -> None:
        """Close the files: nothing is changed any more."""
        for file in (self._log, self._numbers):
            file.close()

    # --- what others have changed ---

    def decide(self, request: Request) -> Decision | Question:
        """Decide as the app does, once all changes are made that were made before `request`."""
        if self.follow() or request.path in UNDECIDED:
            return self._app.decide(request)
        asked = (Wait(self._make_unmade, is_brief=True),)
        return Question(asked, lambda results: self.decide(request))

    def follow(self) -> bool:
        """Make all changes that were made before this moment. Returns False if that takes long."""
        return self._generation[0] == self._made or self.catch_up()

    async def follow_patiently(self) -> None:
        """Make all changes that were made before this moment, with pauses."""
        while not self.follow():
            await self._make_unmade()

    def catch_up(self, seconds: float | None = None, *, is_patient: bool = False) -> bool:
        """Make what was changed by other processes, or so much of it as can be made in so many
        seconds. Returns False if there is more, because some of it takes long, unless this
        `is_patient`, or because it can no longer be known."""
        try:
            for record in self._log.read():
                self._unmade += unpack(record)
        except (TooFarBehindError, OSError) as exc:
            logger.error("process %d cannot follow the changes of others: %s", self._number, exc)
            self._give_up()
            return True  # by what is known, until the process ends
        self._made = _BEHIND
        until = None if seconds is None else time.monotonic() + seconds
        while self._unmade:
            if self._making is not None or (not is_patient and is_large(self._unmade[0])):
                return False
            packed = self._unmade.popleft()
            with self._logging(packed):
                self._local.make(restore(packed, self._app.engine))
            if until is not None and time.monotonic() > until:
                return not self._unmade
        self._made = self._log.position
        return True

    async def _make_unmade(self) -> None:
        """Make what was read of the log, with pauses."""
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make_in_pieces())
        await asyncio.wait({self._making})

    async def _make_in_pieces(self) -> None:
        until = time.monotonic() + MAX_SLICE
        try:
            while self._unmade:
                packed = self._unmade[0]
                with self._logging(packed):
                    if is_large(packed):
                        change = await restore_aside(packed, self._app)
                    else:
                        change = restore(packed, self._app.engine)
                    self._local.make(change)
                self._unmade.popleft()
                if time.monotonic() > until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + MAX_SLICE
        finally:
            self._making = None
        self._make_posted()

    @contextlib.contextmanager
    def _logging(self, packed: Packed) -> Iterator[None]:
        """Log why a change cannot be made here."""
        try:
            yield
        except Exception:
            # it was checked where it was made; the configuration may be another one by now
            logger.exception("a change cannot be made here: %s", packed[0])

    def _hear(self) -> None:
        self.catch_up(MAX_SLICE)
        if self._unmade:
            self._make_soon()
        else:
            self._make_posted()

    def _make_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._make_unmade())
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    # --- what this process changes ---

    def with_numbers(
        self, count: int, go_on: Callable[[Sequence[int]], Decision | Question]
    ) -> Decision | Question:
        """Go on with numbers for added mocks, as every Changes does.

        Raises:
            ControlError: 503, they cannot be written.
        """
        try:
            numbers = self._numbers.take(count)
        except OSError as exc:
            raise _not_written(exc) from exc
        return go_on(numbers)

    def commit(self, check: Check, answer: Answer) -> Decision | Question:
        """Return `answer` once the changes of `check` are made, as every Changes does.

        Raises:
            ControlError: 503, they cannot be written; and those of `check`.
        """
        settled: Sequence[Change] | None = None
        if self._lock():
            with self._changing():
                if self.catch_up():
                    changes = self._find_changes(check)
                    operations = operations_of(changes)
                    results = self._app.store.perform_at_once(operations, self._app.time())
                    if results is not None:
                        settled = self._settle(changes, results)
            self._tell()
        if settled is not None:
            return answer(settled)

        return go_on_after(lambda: self._begun.finish(self._commit_in_turn(check)), answer)

    async def _commit_in_turn(self, check: Check) -> Sequence[Change] | RequestError:
        until = time.monotonic() + MAX_WAIT
        while not self._lock_caught_up():
            if self._unmade:
                await self._make_unmade()
                until = time.monotonic() + MAX_WAIT
            elif time.monotonic() > until:
                message = "Another worker process has been making a change for too long: try again"
                return ControlError(503, "busy", message)
            else:
                await asyncio.sleep(RETRY)
        try:
            with self._changing():
                changes = self._find_changes(check)
                operations = operations_of(changes)
                results = await self._app.store.perform_later(operations) if operations else ()
                return self._settle(changes, results)
        except RequestError as exc:
            return exc
        finally:
            self._tell()

    def _find_changes(self, check: Check) -> list[Change]:
        return [each for change in check() for each in self._without_dead(change)]

    def _settle(self, changes: Sequence[Change], results: Sequence[Any]) -> Sequence[Change]:
        settled = settle(changes, results)
        self._publish(settled)
        return settled

    def _lock(self) -> bool:
        """Return True if this process has the lock of the log, which it had not before."""
        return not self._is_changing and self._log.lock()

    def _lock_caught_up(self) -> bool:
        """Return True if this process has the lock, and has made all changes. Without it, there may
        be some that take long."""
        if not self._lock():
            return False
        self._is_changing, is_caught_up = True, False
        try:
            is_caught_up = self.catch_up()
        finally:
            self._is_changing = False
            if not is_caught_up:
                self._log.unlock()
        return is_caught_up

    def _tell(self) -> None:
        """Let other processes know that something was changed."""
        self._ring()
        self._make_posted()

    def post(self, change: GateChange) -> None:
        """Make a change of gates, at once if no other process makes one; else soon."""
        self._posted.append(change)
        self._make_posted()

    def _make_posted(self) -> None:
        if not self._posted or self._is_changing or self._retry is not None:
            return
        if not self._lock_caught_up():
            if self._unmade:
                self._make_soon()
            else:
                self._retry = asyncio.get_running_loop().call_later(RETRY, self._retry_posted)
            return
        try:
            with self._changing():
                while self._posted:
                    posted = [*self._posted]
                    self._posted.clear()
                    self._publish([each for one in posted for each in self._without_dead(one)])
        except ControlError as exc:
            logger.error("what happens at gates is not known to other workers: %s", exc.message)
        self._ring()

    def _retry_posted(self) -> None:
        self._retry = None
        self._make_posted()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep the lock while the context is open."""
        self._is_changing = True
        try:
            yield
        finally:
            self._is_changing = False
            self._log.unlock()

    def _without_dead(self, change: Change) -> Iterator[Change]:
        """Yield the change, and before it what keeps a release from an answer that has died."""
        if isinstance(change, ReleaseGate | OpenGate):
            for worker in self._gates.states.workers:
                if not self._bell.is_alive(worker):
                    yield ForgetWorker(worker)
        yield change

    def _publish(self, changes: Sequence[Change]) -> None:
        """Write changes to the log, and make them here.

        Raises:
            ControlError: 503, they cannot be written.
        """
        try:
            self._log.append(pack(changes))
        except OSError as exc:
            raise _not_written(exc) from exc
        self._local.make_all(changes)
        self._made = self._log.position
        if self._log.is_long:
            self._compact()

    def _compact(self) -> None:
        taken = take_snapshot(self._app, self._clock, self._gates.states)
        try:
            self._log.compact(pack(taken))
        except OSError as exc:
            logger.warning("the log of changes cannot be shortened: %s", exc)
        self._made = self._log.position

    def _ring(self) -> None:
        known = self._gates.states.workers
        for worker in self._bell.ring_others():
            if worker in known:
                self._posted.append(ForgetWorker(worker))


def _not_written(exc: OSError) -> ControlError:
    message = f"The change cannot be written for the other worker processes: {exc.strerror}"
    return ControlError(503, "not_written", message)
