"""Calls between worker processes: a lease of another process, which has waited for a place in a
shared pool, has one now.

A call is a datagram to a socket in the folder that the workers share. It waits for nobody, and may
get lost: whoever waits looks at the state now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

_LONGEST = 256  # bytes; names of leases are much shorter


class PlaceCalls:
    """What other processes call to the one with this `number`."""

    def __init__(self, folder: Path, number: int) -> None:
        """Open the socket.

        Raises:
            OSError: it cannot be opened.
        """
        self._path = _path(folder, number)
        self._path.unlink(missing_ok=True)  # that of a process that was killed
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        try:
            self._sock.bind(str(self._path))
        except OSError:
            self._sock.close()
            raise
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, heard: Callable[[str], None]) -> None:
        """Have the running loop call `heard` with each lease that is called."""

        def receive() -> None:
            called = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    called.append(self._sock.recv(_LONGEST).decode())
            for lease in called:
                heard(lease)

        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, receive)

    def close(self) -> None:
        """Hear nothing any more."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._sock)
        self._sock.close()
        self._path.unlink(missing_ok=True)


def call(folder: Path, number: int, lease: str) -> None:
    """Call a lease of the process with this `number`. Without effect if it does not listen."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.sendto(lease.encode(), str(_path(folder, number)))


def _path(folder: Path, number: int) -> Path:
    return folder / f"called.{number}"
