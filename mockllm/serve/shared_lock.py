"""Locks between processes, which end with the process that holds them: it may be killed at any
moment. Nothing here waits for another process longer than some microseconds.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

TRIES = 10
PAUSE = 4e-6  # seconds between two tries, in which a lock is probably released

_TRY = fcntl.LOCK_EX | fcntl.LOCK_NB


class SharedLock:
    """A lock that one of several processes has. Each has its own object on the same file."""

    def __init__(self, path: Path) -> None:
        """Open the file of the lock, which is created if it is not there.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file, and release the lock."""
        os.close(self._file)

    def acquire(self, tries: int = TRIES) -> bool:
        """Take the lock if no other process has it. Returns False if one has it in all `tries`,
        between which this process does nothing for `PAUSE`."""
        file = self._file
        while True:
            try:
                fcntl.flock(file, _TRY)
            except BlockingIOError:
                tries -= 1
                if not tries:
                    return False
                _pause()
            else:
                return True

    def release(self) -> None:
        """Release the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


def _pause() -> None:
    """Wait for `PAUSE`. To sleep would take at least twice as long."""
    end = time.perf_counter() + PAUSE
    while time.perf_counter() < end:
        pass


class Owners:
    """Processes that own something until they end, each known by its number. A process has at most
    one object on a file: the system forgets its locks when it closes any of them."""

    def __init__(self, path: Path) -> None:
        """Note that this process is alive, in the file at `path`.

        Raises:
            OSError: the file cannot be opened.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.number = os.getpid()
        """The number of this process."""
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self.number)

    def close(self) -> None:
        """Let this process be taken for one that has ended."""
        os.close(self._file)

    def is_alive(self, number: int) -> bool:
        """Return False if the process with this number has ended."""
        if number == self.number:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)
        return False
