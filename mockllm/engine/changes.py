"""Changes: what requests to the control API do to a server while it runs, as values.

A change has everything that it depends on: it was checked before, and whoever makes it later, or
once more in another process, makes the same of it. Its times are those of the monotonic clock of
the machine, in seconds, unless it says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mockllm.engine.added import AddedMock
from mockllm.engine.traffic import CompiledTraffic
from mockllm.state.gates import Ticket


class AddMock(NamedTuple):
    """Add a mock to a session, or for all if that is None."""

    added: AddedMock
    session: str | None


class RemoveMock(NamedTuple):
    """Remove the added mock with this number, whose state has this key; it is empty if there is no
    state. Without effect if there is no mock."""

    number: int
    key: str


class SetTraffic(NamedTuple):
    """Replace all entries of traffic."""

    traffic: CompiledTraffic


class StartTraffic(NamedTuple):
    """Let the entries of one name begin at the time `at`, in seconds since the start of the server
    in its own time."""

    name: str
    at: float


class StopTraffic(NamedTuple):
    """End the entries of one name, until they are started or reset."""

    name: str


class ResetTraffic(NamedTuple):
    """Let the entries of one name be as if they had never been started or stopped."""

    name: str


class SetSpeed(NamedTuple):
    """Let the time of the server pass so much faster than real time from the time `at` on, at which
    so many seconds of its own time have `elapsed` since its start."""

    speed: float
    at: float
    elapsed: float


class OpenSession(NamedTuple):
    """Begin a session, and make it `current` if it shall be that of requests which name none. One
    that `is_new` has no gates, no mocks, and no calls of this number or a lower one."""

    session: str
    current: bool
    is_new: bool
    last_call: int


class CloseSession(NamedTuple):
    """End a session, and drop its state and its mocks."""

    session: str


class ResetMocks(NamedTuple):
    """Let the mocks with several answers begin anew, in a session or in all."""

    session: str | None


class ClearCalls(NamedTuple):
    """Drop the calls of several servers that are selected (`observers.selection.CallSelection`)."""

    session: str | None = None
    mock: str | None = None
    api: str | None = None
    unmatched: bool | None = None


class ReleaseGate(NamedTuple):
    """Let one answer go on at a gate of a session, or of all if that is None: the one that has been
    held longest, or else the next one that comes."""

    session: str | None
    name: str


class OpenGate(NamedTuple):
    """Let all answers go on at a gate of a session, or of all if that is None, those that come
    later too."""

    session: str | None
    name: str


class ReachGate(NamedTuple):
    """Let an answer of a session reach a gate, where it is held unless the gate lets it go on."""

    session: str
    name: str
    ticket: Ticket


class LeaveGate(NamedTuple):
    """Forget an answer that is held at a gate: it has ended. Without effect if it is not held."""

    ticket: Ticket


class ForgetWorker(NamedTuple):
    """Forget the answers of a process that has died."""

    worker: int


class SetGates(NamedTuple):
    """Let the gates be as they were dumped (`state.gates.GateStates.dump`)."""

    dumped: list[list[Any]]


GateChange = ReachGate | LeaveGate | ReleaseGate | OpenGate | ForgetWorker | SetGates
Change = (
    AddMock
    | RemoveMock
    | SetTraffic
    | StartTraffic
    | StopTraffic
    | ResetTraffic
    | SetSpeed
    | OpenSession
    | CloseSession
    | ResetMocks
    | ClearCalls
    | GateChange
)
