"""A worker's states, and the moves between them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from mockllm.serve.supervisor_channel import Signal
from mockllm.serve.worker import State, Worker

PID = 1_000_000
EXITED_WITH_3 = 3 << 8  # as `waitpid` reports it

Move = Callable[[Worker], object]
MOVES: dict[str, Move] = {
    "serve": Worker.mark_serving,
    "retire": lambda worker: worker.retire(Signal.RETIRE, deadline=5.0),
    "kill": Worker.kill,
    "reap": Worker.reap,
}
LIVES = {
    State.FORKED: (),
    State.SERVING: ("serve",),
    State.RETIRING: ("serve", "retire"),
    State.KILLED: ("kill",),
    State.DEAD: ("reap",),
}
"""The moves that lead to each state."""
ALLOWED = {
    (State.FORKED, "serve"): State.SERVING,
    (State.FORKED, "retire"): State.RETIRING,
    (State.FORKED, "kill"): State.KILLED,
    (State.FORKED, "reap"): State.DEAD,
    (State.SERVING, "retire"): State.RETIRING,
    (State.SERVING, "kill"): State.KILLED,
    (State.SERVING, "reap"): State.DEAD,
    (State.RETIRING, "retire"): State.RETIRING,
    (State.RETIRING, "kill"): State.KILLED,
    (State.RETIRING, "reap"): State.DEAD,
    (State.KILLED, "retire"): State.KILLED,  # left alone
    (State.KILLED, "reap"): State.DEAD,
}
FORBIDDEN = [(state, move) for state in State for move in MOVES if (state, move) not in ALLOWED]


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that were sent; no process is asked about or killed."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(os, "waitpid", lambda pid, _: (pid, EXITED_WITH_3))
    monkeypatch.setattr(os, "WNOHANG", 1, raising=False)  # Windows has none
    return sent


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's end and the worker's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        yield ours, theirs


def worker_in(state: State, channel: tuple[socket.socket, socket.socket]) -> Worker:
    """A worker that has reached `state`."""
    worker = Worker(PID, channel[0], now=0.0, generation=0)
    for move in LIVES[state]:
        MOVES[move](worker)
    assert worker.state is state
    return worker


@pytest.mark.usefixtures("kills")
@pytest.mark.parametrize(("state", "move"), ALLOWED)
def test_an_allowed_move_changes_the_state(
    channel: tuple[socket.socket, socket.socket], state: State, move: str
) -> None:
    worker = worker_in(state, channel)

    MOVES[move](worker)

    assert worker.state is ALLOWED[state, move]


@pytest.mark.usefixtures("kills")
@pytest.mark.parametrize(("state", "move"), FORBIDDEN)
def test_a_forbidden_move_raises_and_keeps_the_state(
    channel: tuple[socket.socket, socket.socket], state: State, move: str
) -> None:
    worker = worker_in(state, channel)

    with pytest.raises(RuntimeError, match=f"worker {PID} cannot go from {state} to "):
        MOVES[move](worker)

    assert worker.state is state


def test_a_forbidden_kill_sends_no_signal(
    kills: list[tuple[int, int]], channel: tuple[socket.socket, socket.socket]
) -> None:
    worker = worker_in(State.DEAD, channel)

    with pytest.raises(RuntimeError):
        worker.kill()

    assert kills == []


def test_kill_sends_sigkill_once(
    kills: list[tuple[int, int]], channel: tuple[socket.socket, socket.socket]
) -> None:
    worker_in(State.KILLED, channel)

    assert kills == [(PID, signal.SIGKILL)]


def test_retiring_again_sends_the_message_and_sets_the_deadline(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    worker = worker_in(State.RETIRING, channel)

    worker.retire(Signal.CUT, deadline=9.0)

    assert channel[1].recv(16) == Signal.RETIRE.value + Signal.CUT.value
    assert worker.deadline == 9.0


def test_a_killed_worker_gets_no_message_and_no_deadline(
    kills: list[tuple[int, int]], channel: tuple[socket.socket, socket.socket]
) -> None:
    worker = worker_in(State.KILLED, channel)

    worker.retire(Signal.STOP, deadline=9.0)

    with pytest.raises(BlockingIOError):
        channel[1].recv(16)
    assert worker.deadline is None
    assert len(kills) == 1


@pytest.mark.usefixtures("kills")
def test_reap_returns_the_exit_status(channel: tuple[socket.socket, socket.socket]) -> None:
    assert worker_in(State.SERVING, channel).reap() == 3


def test_a_running_worker_is_not_reaped(
    monkeypatch: pytest.MonkeyPatch, channel: tuple[socket.socket, socket.socket]
) -> None:
    monkeypatch.setattr(os, "WNOHANG", 1, raising=False)
    monkeypatch.setattr(os, "waitpid", lambda _pid, _options: (0, 0))
    worker = worker_in(State.SERVING, channel)

    assert worker.reap() is None
    assert worker.state is State.SERVING
