"""The store of what requests leave behind: what every store does, and the store of one process.

A store performs the operations of `state.operations`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from mockllm.errors import RequestError
from mockllm.state.choosing import Candidate, Choice, Chosen, choose, repeat
from mockllm.state.draws import Draws
from mockllm.state.maps import GroupedMap, LocalMaps, Maps
from mockllm.state.operations import (
    REFUSALS,
    Admit,
    BeginSession,
    Choose,
    CountAnswers,
    CountPlaces,
    Draw,
    EndSession,
    Enter,
    Get,
    InLine,
    IsOpen,
    Leave,
    ListSessions,
    Operation,
    PoolFull,
    Put,
    Reset,
    Result,
    SessionEnded,
    Settle,
    Spend,
    TakeNothing,
    TooManySessions,
)
from mockllm.state.rate_limits import Buckets, Leases
from mockllm.state.sessions import COMMON, Sessions
from mockllm.state.values import ExpiringValues


class StateUnavailableError(RequestError):
    """The state that a request needs cannot be reached in time. `code` is the reason for programs:
    ``state_busy`` (other processes use it), ``state_full`` (no space is left), ``state_lost``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(503, message, code=code)


class Condition(Enum):
    """What a process knows of the state that it asks. The values are those of ``state`` in ``GET
    /ready``."""

    OWN = "own"
    """It is that of the process, or of the workers of one server."""
    JOINING = "joining"
    """It is that of several servers, and was not reached yet."""
    SHARED = "shared"
    LOST = "lost"
    """It cannot be reached."""
    REFUSED = "refused"
    """It is that of a server with another configuration."""


class Store(Protocol):
    """Performs operations, in one atomic step for each call. Several processes may share one."""

    when_called: Callable[[str], None]
    """Called in the loop with each lease of this process that has waited in a line and has a place
    now. A call may get lost, if the process whose lease has left dies at that moment."""

    def listen(self) -> None:
        """Have `when_called` called from now on, also of places that other processes give."""

    def perform_at_once(
        self, operations: Sequence[Operation], now: float
    ) -> Sequence[Result] | None:
        """Return the results of `operations` at the time `now`, in seconds of a monotonic clock, up
        to and including the first that refuses. None, without effect, if that takes longer than the
        loop may stand still: then `perform_later` is for them."""

    async def perform_later(self, operations: Sequence[Operation]) -> Sequence[Result]:
        """Return the same, by the store's own clock, while the loop goes on.

        Raises:
            StateUnavailableError: the store cannot be reached in time. The operations may have been
                performed all the same.
        """

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Perform `operations` whose results nobody needs, at once or soon."""


class HeldState(Protocol):
    """State of several processes, which one of them can keep for itself for a moment."""

    def hold(self) -> bool:
        """Keep other processes from the state until `let_go`, which must be called before the loop
        goes on. Returns False if another process uses it."""

    def let_go(self) -> None:
        """End what the last `hold` began."""

    async def hold_later(self) -> bool:
        """Hold the state as soon as no other process does. Returns False if that lasts too long."""


# --- Performing -----------------------------------------------------------------------------------


class State:
    """Performs operations on the state in `maps`. It bounds what clients can make it keep:
    attempts, sessions, values and buckets. Mocks, whose number is the author's, it does not bound.
    `gone` is called with the name of each session that ends or is evicted.
    """

    def __init__(self, maps: Maps, gone: Callable[[str], None]) -> None:
        self._gone = gone
        self.sessions = Sessions(self._drop, maps)
        # how many answers each mock has given, by session and key of the mock
        self._answered: GroupedMap[str, str, int] = maps.grouped("answered")
        self._attempts = maps.attempts()
        self._values = ExpiringValues(maps)
        self._draws = Draws(maps)
        self._buckets = Buckets(maps)
        self.leases = Leases(maps)
        """The places of concurrent requests that are taken, and who waits for one."""

    def perform(self, operations: Sequence[Operation], now: float) -> list[Result]:
        """Return the results of `operations`, as every Store does."""
        if len(operations) == 1:
            operation = operations[0]
            if type(operation) is Choose:  # most questions are this one
                return [self._choose(operation, now)]
            return [self._perform(operation, now)]
        results: list[Result] = []
        for place, operation in enumerate(operations):
            result = self._perform(operation, now)
            results.append(result)
            if type(result) in REFUSALS:
                self._take_back(operations[:place])
                self._skip(operations[place + 1 :], now)
                break
        return results

    def answered(self, key: str, session: str | None = None) -> int:
        """Return how many answers the mock with this key has given in `session`; without one, in
        the session in which it has given most."""
        if session is None:
            return max(self._answered.values_of(key), default=0)
        return self._answered.get(session, key) or 0

    def _perform(self, operation: Operation, now: float) -> Result:
        match operation:  # first what is asked for each request
            case Choose():
                return self._choose(operation, now)
            case Spend(charges, at):
                return self._buckets.spend(charges, at)
            case Settle(charge, cost, since, at):
                self._buckets.settle(charge, cost, since, at)
            case Enter():
                return self._enter(operation)
            case Leave(lease):
                self.leases.leave(self._full_name(lease))
            case Admit(session):
                return None if self.sessions.admit(session, now) else SessionEnded(session)
            case TakeNothing(session, attempt):
                if not self.sessions.admit(session, now):
                    return SessionEnded(session)
                if attempt.retry:
                    self._attempts.follow(session, attempt)
                self._attempts.add(session, attempt)
            case BeginSession(session, current):
                begin = self.sessions.use if current else self.sessions.begin
                return None if begin(session, now) else TooManySessions()
            case EndSession(session):
                self.sessions.end(session, now)
            case IsOpen(session):
                return self.sessions.is_open(session)
            case ListSessions():
                return self.sessions.open
            case CountAnswers(wanted, within):
                return tuple(self.answered(key, within) for key in wanted)
            case Reset(within, keys):
                self._reset_all(within, keys)
            case CountPlaces(pool):
                return self.leases.taken(pool)
            case Draw(session, seed, source, attempt):
                return self._draws.next_key(seed, session, source, attempt)
            case Put(key, value, lifetime):
                self._values.put(key, value, now + lifetime)
            case Get(key):
                return self._values.get(key, now)
        return None

    def _choose(self, operation: Choose, now: float) -> Choice | SessionEnded:
        session, candidates, attempt = operation
        if session != COMMON and not self.sessions.admit(session, now):
            return SessionEnded(session)
        choice: Choice | None = None
        if attempt is not None and attempt.retry:
            before = self._attempts.follow(session, attempt)
            if before is not None and before.key is not None:
                choice = repeat(candidates, before.key, before.number)
        if choice is None:
            choice = self._advance(session, candidates)
        if attempt is not None:
            if type(choice) is Chosen:
                key = candidates[choice.candidate].key
                self._attempts.add(session, attempt, key, choice.number)
            else:
                self._attempts.add(session, attempt)
        return choice

    def _advance(self, session: str, candidates: Sequence[Candidate]) -> Choice:
        """Choose, and count the answer."""
        answered = self._answered.of(session)
        choice = choose(candidates, answered)
        if type(choice) is Chosen:
            key, number = candidates[choice.candidate].key, choice.number
            if number or key not in answered:
                self._answered.put(session, key, number)  # 0: so that a reset finds it
        return choice

    def _enter(self, operation: Enter) -> Result:
        pool, lease, places, queue = operation
        entered = self.leases.enter(pool, self._full_name(lease), places, queue)
        if entered:
            return None
        return PoolFull(pool) if entered is None else InLine(self.leases.taken(pool))

    def _take_back(self, operations: Sequence[Operation]) -> None:
        """Give back the places that `operations` have taken."""
        for operation in operations:
            if isinstance(operation, Enter):
                self.leases.leave(self._full_name(operation.lease))

    def _skip(self, operations: Sequence[Operation], now: float) -> None:
        """Record that the attempts of `operations`, which are not performed, take nothing."""
        for operation in operations:
            if isinstance(operation, Choose) and operation.attempt is not None:
                self._perform(TakeNothing(operation.session, operation.attempt), now)

    def _reset_all(self, within: str | None, keys: frozenset[str] | None) -> None:
        """Reset a session, or all if that is None."""
        if within is None and keys is None:
            self._attempts.clear()
            self._answered.clear()
        else:
            for each in self._answered.groups() if within is None else (within,):
                self._reset(each, keys)
        if keys is None:
            self._buckets.reset(within)

    def _reset(self, session: str, keys: frozenset[str] | None) -> None:
        self._attempts.forget(session, keys)
        if keys is None:
            self._answered.drop_group(session)
            return
        for key in keys:
            if self._answered.get(session, key):
                self._answered.put(session, key, 0)

    def _full_name(self, lease: str) -> str:
        """Return the name of a lease of this process among those of all."""
        return lease

    def _drop(self, session: str) -> None:
        """Drop the state of a session that is gone."""
        self._reset(session, None)
        self._buckets.reset(session)
        self._gone(session)


# --- The store of one process ---------------------------------------------------------------------


class LocalStore(State):
    """A store in the memory of one process, used by one thread."""

    def __init__(self, gone: Callable[[str], None] = lambda session: None) -> None:
        super().__init__(LocalMaps(), gone)
        self.when_called: Callable[[str], None] = lambda lease: None

    def listen(self) -> None:
        """Do nothing: there are no other processes."""

    def perform(self, operations: Sequence[Operation], now: float) -> list[Result]:
        """Return the results of `operations`, as every Store does."""
        results = State.perform(self, operations, now)
        if self.leases.called:
            called, self.leases.called = self.leases.called, []
            for lease in called:
                self.when_called(lease)
        return results

    perform_at_once = perform

    async def perform_later(self, operations: Sequence[Operation]) -> list[Result]:
        """Not needed: everything can be performed at once."""
        raise NotImplementedError

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Perform `operations` whose results nobody needs."""
        self.perform(operations, now)
