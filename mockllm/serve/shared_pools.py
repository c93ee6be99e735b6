"""Pools that several processes share: each has one line, which is kept in the store.

    an answer   enter: it has a place, waits in the line, or finds both full
    the store   calls, when a place that was given back is that of an answer of this process
    an answer   leave: its place, or that in the line, is given back

A call may get lost, and who dies gives nothing back. So while answers wait, the store is asked now
and then where the first of them are, which also frees the places of processes that have died. How
many answers other processes generate, which slows those of this one down, is asked more often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

from mockllm.app import App
from mockllm.exchange import PoolRule
from mockllm.serve.timers import CallLater, Timer, call_later
from mockllm.state.operations import CountPlaces, Enter, Leave, Operation, PoolFull, Result
from mockllm.state.store import StateUnavailableError, Store

POLL = 0.5  # seconds between two questions where the first answers of a line are
MAX_POLLED = 16  # of each line
REFRESH = 0.1  # seconds between two questions how many answers other processes generate

logger = logging.getLogger("mockllm")


class _Line:
    """The answers of this process in a shared pool."""

    def __init__(self, rule: PoolRule) -> None:
        self.rule = rule
        self.pool = _name_of(rule)
        """The name of the pool in the store."""
        self.running: set[str] = set()  # leases
        self.waiting: dict[str, PoolPlace] = {}  # by lease, in order
        self.others = 0
        """The places that other processes have, as far as is known."""

    @property
    def is_counted(self) -> bool:
        """True if it matters how many answers others generate."""
        return self.rule.slowdown != 1


class PoolPlace:
    """The place of an answer in a shared pool, or in its line."""

    __slots__ = ("_begin", "_leave", "has_left", "lease", "line")

    def __init__(self, lease: str, line: _Line, leave: Callable[[PoolPlace], None]) -> None:
        self.lease = lease
        self.line = line
        self._leave = leave
        self._begin: Callable[[], None] | None = None
        self.has_left = False

    @property
    def others(self) -> int:
        """The number of answers of the pool that other processes generate, as far as is known."""
        return self.line.others

    def wait(self, begin: Callable[[], None]) -> None:
        """Have `begin` called when the answer may begin, now or later; not if it leaves before."""
        if self.lease in self.line.running:
            begin()
        else:
            self._begin = begin

    def call(self) -> None:
        """Let the answer begin. Without effect if it has begun."""
        if self.line.waiting.pop(self.lease, None) is not None:
            self.line.running.add(self.lease)
            begin, self._begin = self._begin, None
            if begin is not None:
                begin()

    def leave(self) -> None:
        """Give the place back. Without effect if that was done."""
        if not self.has_left:
            self.has_left = True
            self._begin = None
            self._leave(self)


class PoolEntry(NamedTuple):
    """What an answer has found that enters a pool: its `place`, or that the pool is full (None)."""

    place: PoolPlace | None


class SharedPools:
    """The answers of this process in pools that it shares with others, by the store of `app`.
    `count_others` is told how many answers of a pool other processes generate. Unless there is such
    an answer, nothing is asked."""

    def __init__(
        self,
        app: App,
        count_others: Callable[[PoolRule, int], None] = lambda rule, number: None,
        *,
        call_later: CallLater = call_later,
    ) -> None:
        # of the process
        self._app = app
        self._count_others = count_others
        self._call_later = call_later
        self._numbers = count()
        self._listens = False
        app.store.when_called = self._call
        # of the answers
        self._places: dict[str, PoolPlace] = {}  # by lease
        self._lines: dict[PoolRule, _Line] = {}
        # of what is asked now and then
        self._timer: Timer | None = None
        self._since_poll = 0.0  # seconds
        self._asking: asyncio.Task[None] | None = None

    def enter_at_once(self, rule: PoolRule) -> PoolEntry | None:
        """Let an answer enter a pool. Returns None, without effect, if the store cannot be asked at
        once: then `enter_later` does it."""
        place = self._new_place(rule)
        operations = self._entering(place)
        try:
            results = self._store.perform_at_once(operations, self._app.time())
        except BaseException:
            place.leave()
            raise
        if results is None:
            self._forget(place)
            return None
        return self._entered(place, results)

    async def enter_later(self, rule: PoolRule) -> PoolEntry:
        """Let an answer enter a pool.

        Raises:
            StateUnavailableError: the store cannot be asked in time.
        """
        place = self._new_place(rule)
        try:
            results = await self._store.perform_later(self._entering(place))
        except BaseException:  # it may have been performed all the same
            place.leave()
            raise
        return self._entered(place, results)

    def close(self) -> None:
        """Ask nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    @property
    def _store(self) -> Store:
        return self._app.store

    # --- places ---

    def _new_place(self, rule: PoolRule) -> PoolPlace:
        if not self._listens:
            self._listens = True
            self._store.listen()
        line = self._lines.get(rule)
        if line is None:
            line = self._lines[rule] = _Line(rule)
        place = PoolPlace(f"line-{next(self._numbers)}", line, self._leave)
        line.waiting[place.lease] = place
        self._places[place.lease] = place
        return place

    def _entering(self, place: PoolPlace) -> tuple[Operation, ...]:
        rule, line = place.line.rule, place.line
        assert rule.concurrency is not None  # by validation
        enter = Enter(line.pool, place.lease, rule.concurrency, rule.queue)
        return (enter, CountPlaces(line.pool)) if line.is_counted else (enter,)

    def _entered(self, place: PoolPlace, results: Sequence[Result]) -> PoolEntry:
        if isinstance(results[0], PoolFull):
            self._forget(place)
            return PoolEntry(None)
        self._note(place, results[0])
        if len(results) > 1:
            self._note_taken(place.line, results[1])
        self._set_timer()
        return PoolEntry(place)

    def _note(self, place: PoolPlace, result: Result) -> None:
        """Note what the store has said of a place: None is that the answer may begin."""
        if result is None:
            place.call()

    def _note_taken(self, line: _Line, taken: Any) -> None:
        """Note that so many places of a pool are taken."""
        line.others = max(taken - len(line.running), 0)
        self._count_others(line.rule, line.others)

    def _call(self, lease: str) -> None:
        """Let an answer begin that has waited."""
        place = self._places.get(lease)
        if place is not None:
            place.call()

    def _leave(self, place: PoolPlace) -> None:
        self._forget(place)
        self._store.post((Leave(place.lease),), self._app.time())

    def _forget(self, place: PoolPlace) -> None:
        line = place.line
        place.has_left = True
        self._places.pop(place.lease, None)
        line.waiting.pop(place.lease, None)
        line.running.discard(place.lease)
        if not line.waiting and not line.running:
            self._lines.pop(line.rule, None)

    # --- what is asked now and then ---

    def _set_timer(self) -> None:
        if self._timer is not None or self._asking is not None:
            return
        lines = self._lines.values()
        if any(line.is_counted for line in lines):
            self._timer = self._call_later(REFRESH, lambda: self._look(REFRESH))
        elif any(line.waiting for line in lines):
            self._timer = self._call_later(POLL, lambda: self._look(POLL))

    def _look(self, seconds: float) -> None:
        """Ask the store, so many seconds after it was asked."""
        self._timer = None
        self._since_poll += seconds
        asked = self._questions()
        if asked:
            operations = [operation for _, operation in asked]
            results = self._store.perform_at_once(operations, self._app.time())
            if results is None:
                self._asking = asyncio.get_running_loop().create_task(self._look_later(asked))
                return
            self._see(asked, results)
        self._set_timer()

    async def _look_later(self, asked: Sequence[tuple[PoolPlace | _Line, Operation]]) -> None:
        try:
            operations = [operation for _, operation in asked]
            self._see(asked, await self._store.perform_later(operations))
        except StateUnavailableError:
            pass  # whoever enters is told
        except Exception:
            logger.exception("internal error in shared pools")
        finally:
            self._asking = None
        self._set_timer()

    def _questions(self) -> list[tuple[PoolPlace | _Line, Operation]]:
        asked: list[tuple[PoolPlace | _Line, Operation]] = []
        polls = self._since_poll >= POLL
        if polls:
            self._since_poll = 0.0
        for line in self._lines.values():
            for place in islice(line.waiting.values(), MAX_POLLED) if polls else ():
                places = line.rule.concurrency or 1
                asked.append((place, Enter(line.pool, place.lease, places, None)))
            if line.is_counted:
                asked.append((line, CountPlaces(line.pool)))
        return asked

    def _see(
        self, asked: Sequence[tuple[PoolPlace | _Line, Operation]], results: Sequence[Result]
    ) -> None:
        for (about, _), result in zip(asked, results, strict=False):
            if isinstance(about, _Line):
                self._note_taken(about, result)
            elif about.has_left:  # it may have entered again
                self._store.post((Leave(about.lease),), self._app.time())
            else:
                self._note(about, result)


def _name_of(rule: PoolRule) -> str:
    """Return the name of a pool in the store: one with other numbers is another one."""
    return f"\0pool\0{rule.name}\0{rule.concurrency}\0{rule.queue}"
