"""Makes the changes of the control API: in one process, each as soon as it is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Protocol

from mockllm.endpoints.control.state import operations_of, settle
from mockllm.engine.added import AddedMock
from mockllm.engine.changes import (
    AddMock,
    Change,
    ClearCalls,
    CloseSession,
    GateChange,
    OpenSession,
    RemoveMock,
    ResetMocks,
    ResetTraffic,
    SetSpeed,
    SetTraffic,
    StartTraffic,
    StopTraffic,
)
from mockllm.engine.decision import Decision, Question
from mockllm.engine.traffic import CompiledTraffic
from mockllm.engine.views import Views
from mockllm.state.traffic import TrafficTimes

Check = Callable[[], Sequence[Change]]
"""Returns the changes of a request, once the request is checked against what it changes. Raises
ControlError if it is refused."""
Answer = Callable[[Sequence[Change]], Decision | Question]
"""Returns the answer to a request whose changes are made, as these are."""


class ChangedServer(Protocol):
    """The interface of `app.App` for changes."""

    views: Views
    traffic: TrafficTimes

    @property
    def own_traffic(self) -> CompiledTraffic | None: ...
    @property
    def current_session(self) -> str: ...
    def set_traffic(self, traffic: CompiledTraffic | None) -> None: ...
    def add(self, added: AddedMock, session: str | None) -> None: ...
    def add_all(self, mocks: Sequence[AddedMock], session: str | None) -> None: ...
    def drop(self, added: AddedMock) -> None: ...
    def use_session(self, session: str) -> None: ...
    def forget_session(self, session: str) -> None: ...


class Clock(Protocol):
    """The interface of `serve.clock.Clock` for the control API."""

    @property
    def speed(self) -> float: ...
    def now(self) -> float: ...
    def elapsed(self, at: float | None = None) -> float: ...
    def set_speed(self, speed: float, at: float, elapsed: float | None = None) -> None: ...


class Gates(Protocol):
    """The interface of `serve.gates.Gates` for the control API."""

    @property
    def is_stopped(self) -> bool: ...
    def make(self, change: GateChange) -> None: ...
    def reached(self, session: str | None, name: str) -> int: ...
    def held(self, session: str | None) -> Counter[str]: ...
    def end_session(self, session: str) -> None: ...


class KnownCalls(Protocol):
    """The interface of the calls of a server for changes."""

    def forget(self, session: str, upto: int) -> None:
        """Drop the calls of a session with numbers of at most `upto`."""


class Changes(Protocol):
    """Makes changes, one request's after the other's."""

    def commit(self, check: Check, answer: Answer) -> Decision | Question:
        """Return `answer` once the changes of `check` are made: all of them, or none if it raises.
        What `check` sees does not change before they are made; their operations on the state are
        performed between."""

    def with_numbers(
        self, count: int, go_on: Callable[[Sequence[int]], Decision | Question]
    ) -> Decision | Question:
        """Return what `go_on` makes of so many numbers for added mocks, which no other mock has or
        will have; or the question that asks for them first."""


class LocalChanges:
    """The changes of a server that is one process. The loop of the server makes them."""

    def __init__(
        self, server: ChangedServer, clock: Clock, gates: Gates, journal: KnownCalls | None
    ) -> None:
        self._server = server
        self._clock = clock
        self._gates = gates
        self._journal = journal

    def commit(self, check: Check, answer: Answer) -> Decision | Question:
        """Return `answer` once the changes of `check` are made, as every Changes does."""
        changes = check()

        def resume(results: Sequence[Any]) -> Decision | Question:
            settled = settle(changes, results)
            self.make_all(settled)
            return answer(settled)

        operations = operations_of(changes)
        return Question(tuple(operations), resume) if operations else resume(())

    def with_numbers(
        self, count: int, go_on: Callable[[Sequence[int]], Decision | Question]
    ) -> Decision | Question:
        """Go on with numbers for added mocks, as every Changes does."""
        numbers = self._server.views.numbers
        return go_on([next(numbers) for _ in range(count)])

    def make_all(self, changes: Iterable[Change]) -> None:
        """Make changes that were checked, as `make` does; many mocks that are added at once."""
        for session, group in groupby(changes, _adds_to):
            if session == _NOTHING:
                for change in group:
                    self.make(change)
            else:
                added = [change.added for change in group if isinstance(change, AddMock)]
                self._server.add_all(added, session)

    def make(self, change: Change) -> None:
        """Make one change that was checked, in this process: its operations were performed."""
        server = self._server
        match change:
            case AddMock(added, session):
                server.add(added, session)
            case RemoveMock(number):
                found = server.views.find(number)
                if found is not None:
                    server.drop(found[1])
                server.views.highest = max(server.views.highest, number)
            case SetTraffic(traffic):
                server.set_traffic(traffic)
            case StartTraffic(name, at):
                server.traffic.start(name, at)
            case StopTraffic(name):
                server.traffic.stop(name)
            case ResetTraffic(name):
                server.traffic.reset(name)
            case SetSpeed(speed, at, elapsed):
                self._clock.set_speed(speed, at, elapsed)
            case OpenSession():
                self._open(change)
            case CloseSession(session):
                self._end(session)
            case ResetMocks() | ClearCalls():
                pass  # they are about the state, and the calls of several servers, alone
            case _:
                self._gates.make(change)

    def begin_anew(self) -> None:
        """Forget all changes so far, before those of a snapshot are made."""
        server = self._server
        for _, mocks in server.views.all_added():
            for each in mocks:
                server.drop(each)
        for name in server.traffic.begun:
            server.traffic.reset(name)
        if server.own_traffic is not None:
            server.set_traffic(None)

    def _open(self, change: OpenSession) -> None:
        session, current, is_new, last_call = change
        if is_new:
            self._end(session)  # a process that was killed may not have done so
            if self._journal is not None:
                self._journal.forget(session, last_call)
        if current:
            self._server.use_session(session)

    def _end(self, session: str) -> None:
        self._gates.end_session(session)
        self._server.forget_session(session)


_NOTHING = "/"  # no name of a session


def _adds_to(change: Change) -> str | None:
    """Return the session that a change adds a mock to, None if that is all; `_NOTHING` of another
    change."""
    return change.session if isinstance(change, AddMock) else _NOTHING
