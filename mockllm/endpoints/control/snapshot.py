"""All that was changed while a server runs, as changes: made in a new process, they have the same
effect."""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.endpoints.control.making import ChangedServer, Clock
from mockllm.engine.changes import (
    AddMock,
    Change,
    OpenSession,
    RemoveMock,
    SetGates,
    SetSpeed,
    SetTraffic,
    StartTraffic,
    StopTraffic,
)
from mockllm.engine.views import Views
from mockllm.state.gates import GateStates
from mockllm.state.traffic import TrafficTimes


def take_snapshot(server: ChangedServer, clock: Clock, gates: GateStates) -> list[Change]:
    """Return the changes that make a new process what this one has become."""
    now = clock.now()
    traffic = server.own_traffic
    current = server.current_session
    return [
        OpenSession(current, current=True, is_new=False, last_call=0),
        *_mocks(server.views),
        *(() if traffic is None else (SetTraffic(traffic),)),
        *_times(server.traffic),
        SetSpeed(clock.speed, now, clock.elapsed(now)),
        SetGates(gates.dump()),
    ]


def _mocks(views: Views) -> Iterator[Change]:
    for session, mocks in views.all_added():
        yield from (AddMock(each, session) for each in mocks if not each.is_first)
        # each of these comes before all that are there
        yield from (AddMock(each, session) for each in reversed(mocks) if each.is_first)
    if views.highest >= 0 and views.find(views.highest) is None:
        yield RemoveMock(views.highest, "")  # so that its calls are still known by its number


def _times(times: TrafficTimes) -> Iterator[Change]:
    for name, begun in times.begun.items():
        yield StopTraffic(name) if begun is None else StartTraffic(name, begun)
