"""Adds up how late the steps of paced answers were, in all processes of a server.

Each process counts in a part of memory that all of them share from before they are forked, so that
any of them, and their supervisor, can say what holds for the whole server. What a process has
counted outlives it.
"""

from __future__ import annotations

import mmap

from mockllm.observers.lateness import CELLS, Lateness

_CELL_BYTES = 8


class TimingBoard:
    """A histogram for each of so many `slots` of worker processes."""

    def __init__(self, slots: int = 1) -> None:
        memory = mmap.mmap(-1, slots * CELLS * _CELL_BYTES)  # anonymous and shared, all zero
        cells = memoryview(memory).cast("Q")
        self._parts = [Lateness(cells[slot * CELLS : (slot + 1) * CELLS]) for slot in range(slots)]

    def lateness(self, slot: int) -> Lateness:
        """Return the histogram that the process in `slot` counts in."""
        return self._parts[slot]

    def total(self) -> Lateness:
        """Return the histogram of all processes, as it is now."""
        return Lateness.sum(self._parts)
