"""The memory that all processes of a server count their metrics in.

It is made before the processes are forked, so that any of them can say what holds for the whole
server. There are more parts than processes: one that ends while its successor starts keeps its
part until it is gone. The supervisor gives the parts out, and takes those of the dead back: what
they have counted stays, and what holds now counts 0.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mockllm.observers.metric_cells import (
    ALIVE,
    CELL_BYTES,
    MAX_GROUPS,
    PART_CELLS,
    NameTable,
    ProcessCells,
)
from mockllm.observers.metric_sums import Sums
from mockllm.observers.metrics import Meter

try:
    import fcntl
except ImportError:  # Windows, which has one process
    fcntl = None  # type: ignore[assignment]  # as the check below expects

MAX_MOCKS = 1_000  # names of mocks; requests to others are counted together
PARTS_PER_WORKER = 4  # it, its successor, and two before it that have not ended yet
LOCK_TRIES = 100  # a name is added in 10 µs, unless a process is stopped meanwhile


class MetricsBoard:
    """The memory for so many `workers`. `vllm` adds the names of vLLM to what is shown."""

    def __init__(self, workers: int = 1, *, vllm: bool = False) -> None:
        self.vllm = vllm
        self.own = 0
        """The number of the part of this process."""
        count = workers * PARTS_PER_WORKER if workers > 1 else 1
        mocks, models = NameTable.bytes_of(MAX_MOCKS), NameTable.bytes_of(MAX_GROUPS)
        part = PART_CELLS * CELL_BYTES
        memory = memoryview(mmap.mmap(-1, mocks + models + count * part))  # shared, all zero
        lock = _no_lock if count == 1 else _file_lock(self)
        self._mocks = NameTable(memory[:mocks], MAX_MOCKS, lock)
        self._models = NameTable(memory[mocks : mocks + models], MAX_GROUPS, lock)
        rest = memory[mocks + models :]
        self._cells = [rest[part * at : part * (at + 1)].cast("Q") for at in range(count)]
        self._free: list[int] = [*range(count)]

    # --- of the supervisor ---

    @property
    def free(self) -> int:
        """The number of parts that no process has."""
        return len(self._free)

    def claim(self) -> int:
        """Return the number of a part for a process that is about to be forked."""
        return self._free.pop(0)

    def release(self, number: int) -> None:
        """Take back the part of a process that is gone."""
        ProcessCells(self._cells[number]).clear_gauges()
        self._free.append(number)

    # --- of a process ---

    def meter(self, now: Callable[[], float]) -> Meter:
        """Return the meter of this process. `now` returns seconds of a monotonic clock."""
        part = ProcessCells(self._cells[self.own])
        part.cells[ALIVE] = 1
        return Meter(part, self._mocks, self._models, now=now)

    def sums(self) -> Sums:
        """Return what all processes have counted, also those that are gone."""
        return Sums(map(ProcessCells, self._cells), self._mocks.names(), self._models.names())


@contextmanager
def _no_lock() -> Iterator[None]:
    yield


def _file_lock(owner: MetricsBoard) -> Callable[[], AbstractContextManager[None]]:
    """Return a lock between processes that are forked later, which lives as long as `owner`. The
    system opens it if one that holds it dies."""
    assert fcntl is not None  # or there is one process
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("mockllm-metrics")
    else:
        file, path = tempfile.mkstemp("mockllm-metrics")
        Path(path).unlink()
    weakref.finalize(owner, os.close, file)

    @contextmanager
    def hold() -> Iterator[None]:
        for tries in range(LOCK_TRIES):
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if tries == LOCK_TRIES - 1:
                    raise
            else:
                break
        try:
            yield
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN)

    return hold
