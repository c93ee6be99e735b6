"""One worker process as its supervisor sees it, and the slot that it fills.

A worker's life:

    FORKED -> SERVING    it reported that it is listening
    SERVING -> RETIRING  its successor is serving, or the whole server is stopping
    any -> KILLED        it hung, or did not exit in time
    any -> DEAD          its process has ended

A worker may be retired before it serves, when the server stops while it starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from enum import Enum, auto

from mockllm.serve.supervisor_channel import Signal

FIRST_DELAY = 0.1  # seconds before a slot is filled again after a second early death; then doubled
MAX_DELAY = 5.0  # seconds
YOUNG = 1.0  # seconds; a worker that lived longer is replaced at once
UNWANTED = -1  # the generation of a worker that must be replaced whatever it serves


class State(Enum):
    """A stage in the life of a worker. Only `Worker._enter` changes it."""

    FORKED = auto()
    SERVING = auto()
    RETIRING = auto()
    KILLED = auto()
    DEAD = auto()


_FOLLOWS = {
    State.FORKED: {State.SERVING, State.RETIRING, State.KILLED, State.DEAD},
    State.SERVING: {State.RETIRING, State.KILLED, State.DEAD},
    State.RETIRING: {State.RETIRING, State.KILLED, State.DEAD},  # again: with a new deadline
    State.KILLED: {State.DEAD},
    State.DEAD: set(),
}


class Worker:
    """One child process, and the supervisor's end of the channel to it."""

    def __init__(
        self, pid: int, channel: socket.socket, *, now: float, generation: int, number: int = 0
    ) -> None:
        self.pid = pid
        self.number = number
        """What tells it from all other processes of the server."""
        self.channel = channel
        self.born = now
        self.last_heard = now
        self.generation = generation
        """The number of the configuration that it serves."""
        self.deadline: float | None = None
        """When it must have exited; None unless it is retiring."""
        self.part: int | None = None
        """The number of its part of the metrics, if there are some."""
        self._state = State.FORKED

    @property
    def state(self) -> State:
        """The current stage of its life."""
        return self._state

    def mark_serving(self) -> None:
        """Record that it accepts connections."""
        self._enter(State.SERVING)

    def retire(self, message: Signal, *, deadline: float) -> None:
        """Send `message`, after which it must exit by `deadline`. A killed worker is left alone:
        it is about to exit anyway."""
        if self._state is State.KILLED:
            return
        self._enter(State.RETIRING)
        self.deadline = deadline
        with contextlib.suppress(OSError):  # it has ended; `reap` finds out
            self.channel.send(message.value)

    def kill(self) -> None:
        """End the process at once."""
        self._enter(State.KILLED)
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Collect the exit status of the process; None while it is running."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._enter(State.DEAD)
        return os.waitstatus_to_exitcode(status)

    def _enter(self, state: State) -> None:
        if state not in _FOLLOWS[self._state]:
            raise RuntimeError(f"worker {self.pid} cannot go from {self._state} to {state}")
        self._state = state


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one worker: the worker in it, its successor if one was forked, and the earliest
    time at which an empty slot is filled again."""

    number: int
    sock: socket.socket
    worker: Worker | None = None
    successor: Worker | None = None
    delay: float = 0.0
    due: float = 0.0

    @property
    def is_serving(self) -> bool:
        """True if its worker accepts connections."""
        return self.worker is not None and self.worker.state is State.SERVING

    def wait_after(self, age: float) -> float:
        """Return the seconds to wait before replacing a worker that died at the `age` of that many
        seconds: 0, unless this one and the previous one lived shorter than `YOUNG`."""
        if age >= YOUNG:
            self.delay = 0.0
            return 0.0
        wait = self.delay
        self.delay = min(max(wait * 2, FIRST_DELAY), MAX_DELAY)
        return wait
