"""The messages between a supervisor and a worker, and a worker's end of their channel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from enum import Enum
from typing import Protocol


class Signal(Enum):
    """A message between a supervisor and a worker, one byte each."""

    LISTENING = b"l"
    """From the worker: it accepts connections."""
    ALIVE = b"."
    """From the worker: its loop is running (a heartbeat)."""
    LEAVING = b"x"
    """From the worker: it received SIGTERM and asks to be replaced."""
    RETIRE = b"r"
    """To the worker: drain; another worker accepts on the socket from now on."""
    STOP = b"s"
    """To the worker: drain; the whole server is stopping."""
    CUT = b"c"
    """To the worker: close all connections and exit."""


class Process(Protocol):
    """The interface of a process that serves, for the messages of its supervisor."""

    stopping: asyncio.Event

    def stop(self) -> None:
        """Drain; if it is draining already, cut all connections."""

    def cut(self) -> None:
        """Cut all connections."""

    def remove_files(self) -> None:
        """Remove the files of all workers, in place of the supervisor."""


class SupervisorChannel:
    """A worker's end of the channel to its supervisor."""

    def __init__(self, channel: socket.socket, process: Process) -> None:
        self._channel = channel
        self._process = process
        self._loop = asyncio.get_running_loop()
        self.retired = False
        """True if another worker accepts on the socket from now on."""

    def send(self, message: Signal) -> None:
        """Send a message; it is lost if the supervisor is gone or its buffer is full."""
        with contextlib.suppress(OSError):
            self._channel.send(message.value)

    def send_heartbeats(self, beat: float) -> None:
        """Send a heartbeat now and every `beat` seconds."""
        self.send(Signal.ALIVE)
        self._loop.call_later(beat, self.send_heartbeats, beat)

    def receive_messages(self) -> None:
        """Act on the supervisor's messages as they arrive."""
        self._loop.add_reader(self._channel, self._receive)

    def _receive(self) -> None:
        try:
            messages = self._channel.recv(64)
        except OSError:
            messages = b""
        if not messages:
            self._loop.remove_reader(self._channel)
            self._process.remove_files()  # the supervisor has died
        if Signal.CUT.value in messages:
            self._process.cut()
        elif Signal.RETIRE.value in messages:
            self.retired = True
            self._process.stop()
        elif not self._process.stopping.is_set():
            self._process.stop()
