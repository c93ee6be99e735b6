"""Bells: a worker process rings those of all others when something has changed.

A bell is a datagram socket of a process, in the folder that the workers of a server share. To ring
it takes microseconds and waits for nobody: a process that is stopped hears it when it goes on. The
bell of a process that has died refuses, which is how the others learn of its death.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

_PREFIX = "bell."
_MANY = 4096  # bytes; each ring is one


class Bell:
    """The bell of the process with this number, which no other one has had."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.bind(str(self._path(number)))

    def listen(self, heard: Callable[[], None]) -> None:
        """Have the running loop call `heard` after this bell was rung, once for many times."""

        def receive() -> None:
            with contextlib.suppress(BlockingIOError):
                while self._sock.recv(_MANY):
                    pass
            heard()

        asyncio.get_running_loop().add_reader(self._sock, receive)

    def ring_others(self) -> list[int]:
        """Ring the bells of all other processes. Returns the numbers of those that have died since
        somebody rang last."""
        if self._sock.fileno() < 0:  # it is closed
            return []
        dead = [number for number in self._others() if not self.is_alive(number)]
        for number in dead:
            with contextlib.suppress(FileNotFoundError):
                self._path(number).unlink()
        return dead

    def is_alive(self, number: int) -> bool:
        """Return True if the process with this number lives. It hears it."""
        if number == self._number:
            return True
        try:
            self._sock.sendto(b"!", str(self._path(number)))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # it has heard enough, and not yet listened
            return True
        return True

    def close(self) -> None:
        """Take the bell away."""
        with contextlib.suppress(RuntimeError):  # there is no loop
            asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()
        with contextlib.suppress(FileNotFoundError):
            self._path(self._number).unlink()

    def _others(self) -> Iterator[int]:
        with contextlib.suppress(FileNotFoundError):  # the server has stopped
            for path in self._folder.glob(f"{_PREFIX}*"):
                number = int(path.suffix[1:])
                if number != self._number:
                    yield number

    def _path(self, number: int) -> Path:
        return self._folder / f"{_PREFIX}{number}"
