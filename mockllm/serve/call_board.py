"""Memory that all processes of a server share from before they are forked: the numbers of calls,
and how many of them died with a process.

The number of the last call is the offset of an open file. The processes inherit the file, and its
offset with it: the kernel moves it for one of them at a time (0.3 µs), and no process that dies
leaves a lock behind.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path

MAX_PROCESSES = 4096  # that are alive at the same time
MAX_LOSSES = 256  # of processes; further ones count as one
_CELL_BYTES = 8
_NUMBER, _COUNT = 0, 1  # of a loss
_FIRST_LOSS = MAX_PROCESSES + 1


class CallBoard:
    """The numbers of calls, and those that are lost. Its file is in `folder`, without a name."""

    def __init__(self, folder: Path | None = None) -> None:
        with tempfile.TemporaryFile(buffering=0, dir=folder) as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self.epoch = time.time() - time.monotonic()
        """The time at which the monotonic clock was 0, in Unix time: the same in all processes."""
        memory = mmap.mmap(-1, (_FIRST_LOSS + 2 * MAX_LOSSES) * _CELL_BYTES)  # all zero
        self._cells = memoryview(memory).cast("Q")

    @property
    def last_number(self) -> int:
        """The number of the last call of all processes; 0 if there was none."""
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def numbers(self, process: int) -> Callable[[], int]:
        """Return the function that returns the next number, for a call of a process, and counts the
        call as one that the process has."""
        cell, lseek, from_here = process % MAX_PROCESSES, os.lseek, os.SEEK_CUR

        def next_number() -> int:
            self._cells[cell] += 1
            return lseek(self._file, 1, from_here)

        return next_number

    def keep(self, process: int, count: int) -> None:
        """Note that a process has so many calls, which are lost if it dies."""
        self._cells[process % MAX_PROCESSES] = count

    def bury(self, process: int) -> int:
        """Note that a process is dead. Returns the number of calls that are lost with it. It is
        called by the parent of the processes alone."""
        cell = process % MAX_PROCESSES
        count, self._cells[cell] = self._cells[cell], 0
        if count:
            losses = self._cells[MAX_PROCESSES]
            place = _FIRST_LOSS + 2 * min(losses, MAX_LOSSES - 1)
            self._cells[place + _NUMBER] = self.last_number
            self._cells[place + _COUNT] += count
            self._cells[MAX_PROCESSES] = losses + 1  # at last: it is complete from now on
        return count

    def lost_after(self, number: int) -> int:
        """Return how many calls were lost with processes that died when there had been calls with
        numbers above `number`."""
        count = 0
        for place in range(min(self._cells[MAX_PROCESSES], MAX_LOSSES)):
            at = _FIRST_LOSS + 2 * place
            if self._cells[at + _NUMBER] > number:
                count += self._cells[at + _COUNT]
        return count
