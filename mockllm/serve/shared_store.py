"""A store that the workers of a machine share: maps that all of them have, and a lock around them.

A question is performed at once if the lock is free. If another process has it, the question waits
in a lane, in which the lock is tried every millisecond: the loop never waits for another process,
which may have been stopped while it had the lock. A process that is killed in the middle of a
question leaves nothing of it behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mockllm.serve.place_calls import PlaceCalls, call
from mockllm.serve.shared_following import Following
from mockllm.serve.shared_lock import Owners, SharedLock
from mockllm.serve.shared_maps import SharedMaps
from mockllm.serve.shared_state import SessionsSeen, SharedState, own_name, owner_of
from mockllm.state.operations import Operation, Result
from mockllm.state.store import State, StateUnavailableError

logger = logging.getLogger("mockllm")
T = TypeVar("T")

TIMEOUT = 1.0  # seconds that a question waits for the lock
RETRY = 1e-3  # seconds between two tries of those that wait
MAX_TURN = 2e-3  # seconds of the loop for those that wait, one after the other

FULL = "No space is left for the state that workers share. Make some, or use another --state-dir."


@dataclass(slots=True, eq=False)
class _Waiting:
    """Operations that wait for the lock, until `deadline` if somebody waits for their `results`."""

    operations: Sequence[Operation]
    deadline: float
    results: asyncio.Future[list[Result]] | None = None


class SharedStore:
    """A store in `folder`, which exists, for this process, which has one object of it. Nothing is
    opened before it is used. `gone` is called with the name of each session that ends or is evicted
    by a question of this process. `clock` is that of `now`, the same in all processes.
    """

    def __init__(
        self,
        folder: Path,
        gone: Callable[[str], None] = lambda session: None,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._gone = gone
        self._timeout = timeout
        self._clock = clock
        self.when_called: Callable[[str], None] = lambda lease: None
        # once it is opened
        self._lock: SharedLock | None = None
        self._maps: SharedMaps | None = None
        self._owners: Owners | None = None
        self._calls: PlaceCalls | None = None
        self._state: SharedState
        # of the question that is performed
        self._gone_now: list[str] = []
        self._held = 0  # so many times
        # of those that wait
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.Handle | None = None
        # between questions
        self._following = Following(self, self._find_maps)
        self._trouble = ""

    def close(self) -> None:
        """Close what is open: places of this process are those of one that has ended."""
        self._following.stop()
        if self._timer is not None:
            self._timer.cancel()
        for each in (self._maps, self._lock, self._owners, self._calls):
            if each is not None:
                each.close()
        self._lock = self._maps = self._owners = self._calls = None

    def perform_at_once(self, operations: Sequence[Operation], now: float) -> list[Result] | None:
        """Return the results of `operations`, after those that wait; None if another process has
        the lock, or too many wait, or if there is trouble, which `perform_later` raises."""
        try:
            if self._waiting and not self._held:
                return self._perform_behind(operations, now)
            return self._try_to_perform(operations, now)
        except StateUnavailableError:
            return None

    async def perform_later(self, operations: Sequence[Operation]) -> list[Result]:
        """Return the results of `operations` after those that wait already.

        Raises:
            StateUnavailableError: other processes have had the lock all the time, or no space is
                left.
        """
        loop = asyncio.get_running_loop()
        results = loop.create_future()
        self._waiting.append(_Waiting(operations, loop.time() + self._timeout, results))
        self._wake(loop)
        found: list[Result] = await results
        return found

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Perform `operations`, at once or as soon as the lock is free. If no loop is running, they
        must be performed at once."""
        if self.perform_at_once(operations, now) is None:
            self._waiting.append(_Waiting(operations, float("inf")))
            self._wake(asyncio.get_running_loop())

    def perform(self, operations: Sequence[Operation], now: float) -> list[Result]:
        """Return the results of `operations`. Waits for the lock, as long as it takes.

        Raises:
            StateUnavailableError: no space is left.
        """
        while (results := self._try_to_perform(operations, now)) is None:
            time.sleep(RETRY)
        return results

    # --- looking ---

    def hold(self) -> bool:
        """Keep other processes from the state until `let_go`, which must be called before the loop
        goes on. Meanwhile everything is performed at once. Returns False, without effect, if
        another process has the lock. A state that is held may be held again.

        Raises:
            StateUnavailableError: the state cannot be opened.
        """
        if not self._held and not self._open_lock().acquire():
            return False
        self._held += 1
        return True

    def let_go(self) -> None:
        """End what the last `hold` began."""
        self._held -= 1
        if not self._held and self._lock is not None:
            self._lock.release()

    async def hold_later(self) -> bool:
        """Hold the state as soon as no other process does. Returns False if it did all the time, or
        if the state cannot be opened. Nothing is awaited after it is held."""
        until = time.monotonic() + self._timeout
        with contextlib.suppress(StateUnavailableError):
            while not self.hold():
                if time.monotonic() > until:
                    return False
                await asyncio.sleep(RETRY)
            return True
        return False

    def look(self, see: Callable[[State], T]) -> T:
        """Return what `see` does with the state, at once.

        Raises:
            StateUnavailableError: another process has the lock, or the state cannot be read.
        """
        if not self.hold():
            raise self._busy()
        try:
            return self._do(see)
        finally:
            self.let_go()

    def answered(self, key: str, session: str | None = None) -> int:
        """Return how many answers a mock has given, as `LocalStore` does. Raises as `look`."""
        return self.look(lambda state: state.answered(key, session))

    @property
    def sessions(self) -> SessionsSeen:
        """The sessions, which are looked at whenever they are asked."""
        return SessionsSeen(self.look)

    # --- performing ---

    def _try_to_perform(self, operations: Sequence[Operation], now: float) -> list[Result] | None:
        """Return the results of `operations`; None if another process has the lock.

        Raises:
            StateUnavailableError: the state cannot be opened or written.
        """
        if not self._held:
            if self._maps is not None and self._maps.is_behind:
                self._read_ahead(self._maps)
            if not (self._lock or self._open_lock()).acquire():
                return None
        self._held += 1
        try:
            return self._perform(operations, now)
        finally:
            self.let_go()

    def _perform_behind(self, operations: Sequence[Operation], now: float) -> list[Result] | None:
        """Return the results of `operations` after those that wait, if the lock is free by now: in
        the millisecond until it is tried for those again, others would have to wait as well."""
        if not self._open_lock().acquire(tries=1):
            return None
        self._held += 1
        try:
            self._serve_first()
            return None if self._waiting else self._perform(operations, now)
        finally:
            self.let_go()

    def _perform(self, operations: Sequence[Operation], now: float) -> list[Result]:
        """Perform `operations` while this process has the lock. Raises as `_try_to_perform`."""
        return self._do(SharedState.perform, operations, now)

    def _do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Return the result of `act` with the state and the arguments, all of whose effects happen,
        or none. Raises as `_try_to_perform`."""
        gone: list[str] = []
        self._gone_now = gone
        try:
            maps = self._maps or self._open()
            try:
                maps.begin()
                state = self._state
                called = state.leases.called = []
                result = act(state, *arguments)
                maps.commit()
            except BaseException:
                maps.roll_back()
                raise
        except OSError as exc:
            raise self._report(exc) from exc
        if self._trouble:
            logger.warning("the state that workers share can be used again")
            self._trouble = ""
        for session in gone:
            self._gone(session)
        if called:
            self._call(called)
        return result

    def _read_ahead(self, maps: SharedMaps) -> None:
        """Make what others have changed before this process has the lock, so that they have to wait
        for less."""
        try:
            maps.begin()
        except OSError:
            return  # it comes again

    def listen(self) -> None:
        """Hear of places that other processes give to leases of this one, from now on. Without
        effect if no socket can be made in the folder, whose path may be too long."""
        if self._calls is None:
            with contextlib.suppress(OSError):
                self._calls = PlaceCalls(self._folder, os.getpid())
                self._calls.listen(lambda lease: self.when_called(lease))

    def _call(self, leases: Sequence[str]) -> None:
        """Tell the processes of these leases that each has a place now."""
        assert self._owners is not None
        for lease in leases:
            owner, name = owner_of(lease), own_name(lease)
            if owner == self._owners.number:
                self.when_called(name)
            else:
                call(self._folder, owner, name)

    def _report(self, error: OSError) -> StateUnavailableError:
        """Return the error of a request whose state cannot be read or written. It is logged once,
        until there is none."""
        text = f"{self._folder}: {error}"
        if not self._trouble:
            logger.error("the state that workers share cannot be used: %s", text)
        self._trouble = text
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StateUnavailableError("state_full", FULL)
        return StateUnavailableError(
            "state_lost", "The state that workers share cannot be used; the server's log says why."
        )

    # --- following ---

    def follow(self) -> None:
        """Make the changes of other processes soon after them, from now on, also while nothing is
        asked: all those of a long time would hold the loop at the next question."""
        self._following.start()

    def _find_maps(self) -> SharedMaps | None:
        """Return the maps, which are opened if another process has; None if there are none yet.

        Raises:
            OSError: they cannot be opened.
            StateUnavailableError: the same.
        """
        if self._maps is None and (self._folder / "state").exists() and self.hold():
            try:
                return self._open()
            finally:
                self.let_go()
        return self._maps

    # --- opening ---

    def _open_lock(self) -> SharedLock:
        if self._lock is None:
            try:
                self._lock = SharedLock(self._folder / "lock")
            except OSError as exc:
                raise self._report(exc) from exc
        return self._lock

    def _open(self) -> SharedMaps:
        """Open the maps, while this process has the lock. Places of a process that has ended
        and had the same number are free again."""
        if self._owners is None:
            self._owners = Owners(self._folder / "owners")
        maps = SharedMaps(self._folder / "state")
        try:
            self._state = SharedState(maps, self._owners, lambda name: self._gone_now.append(name))
            maps.begin()
            self._state.bury(self._owners.number)
            maps.commit()
        except BaseException:
            maps.close()
            raise
        self._maps = maps
        return maps

    # --- the lane of those that wait ---

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(RETRY, self._serve_lane, loop)

    def _serve_lane(self, loop: asyncio.AbstractEventLoop) -> None:
        """Perform what waits, if the lock is free, and refuse what has waited too long. In this
        order: if this process was stopped, nobody else has used the state for too long."""
        self._timer = None
        try:
            has_lock = bool(self._waiting) and self._open_lock().acquire(tries=1)
        except StateUnavailableError as exc:
            self._fail_all(exc)
            return
        if has_lock:
            assert self._lock is not None
            try:
                self._serve_first()
            finally:
                self._lock.release()
        self._give_up(loop.time())
        if self._waiting and has_lock:
            self._timer = loop.call_soon(self._serve_lane, loop)
        elif self._waiting:
            self._wake(loop)

    def _serve_first(self) -> None:
        """Perform what has waited longest, while this process has the lock."""
        end = time.perf_counter() + MAX_TURN
        while self._waiting and time.perf_counter() < end:
            waiting = self._waiting.popleft()
            future = waiting.results
            if future is not None and future.done():
                continue  # the peer has left
            try:
                results = self._perform(waiting.operations, self._clock())
            except StateUnavailableError as exc:
                if future is not None:
                    future.set_exception(exc)
            except Exception as exc:
                if future is None:
                    logger.exception("internal error in the state that workers share")
                else:
                    future.set_exception(exc)
            else:
                if future is not None:
                    future.set_result(results)

    def _give_up(self, now: float) -> None:
        """Refuse what has waited too long."""
        error = self._busy()
        late = [each for each in self._waiting if each.deadline <= now]
        for each in late:
            self._waiting.remove(each)
            if each.results is not None and not each.results.done():
                each.results.set_exception(error)

    def _busy(self) -> StateUnavailableError:
        message = "Another worker has used the shared state for too long. Retry the request."
        return StateUnavailableError("state_busy", message)

    def _fail_all(self, error: StateUnavailableError) -> None:
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            if each.results is not None and not each.results.done():
                each.results.set_exception(error)
