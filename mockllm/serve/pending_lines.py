"""Lines that wait to be written to a stream: a bounded queue that counts what it loses. It knows no
stream and never waits.

One thread may put while another one takes, without a lock: each counter has one writer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mockllm.limits import MIB

MAX_PENDING = MIB  # bytes: 10,000 lines of an access log, half a second of a busy server
PIPE_BUF = 4096  # bytes that Linux writes to a pipe without other processes' lines between them
OVERHEAD = 64  # bytes of memory that an entry takes beside its text


class PendingLines:
    """A queue of at most `limit` bytes. `describe_lost` returns the line that tells how many lines
    were lost; without it, nothing tells.

    When the queue is full, lines are lost until it is empty again. The line that tells so comes
    then, between the lines before and after the gap.
    """

    def __init__(
        self, describe_lost: Callable[[int], bytes] | None = None, *, limit: int = MAX_PENDING
    ) -> None:
        self._describe_lost = describe_lost
        self._limit = limit
        self._entries: deque[bytes] = deque()
        # of the thread that puts
        self._put = 0  # bytes, as all costs
        self._is_full = False
        self._lost_by_limit = 0  # lines
        # of the thread that takes
        self._taken = 0
        self._lost_by_failure = 0
        self._told = 0
        self._has_failed = False
        self._ends_line = True  # what was written last
        # of what is being written: a notice of lost lines, then entries
        self._notice = b""
        self._tells = 0
        self._lines = b""
        self._cost = 0

    def __bool__(self) -> bool:
        """True if something is not written yet."""
        return self._put != self._taken

    def put(self, lines: bytes) -> None:
        """Append an entry of one or more whole lines, or lose it. One that is larger than the queue
        is kept only if nothing else is."""
        pending = self._put - self._taken
        cost = len(lines) + OVERHEAD
        if pending and (self._is_full or pending + cost > self._limit):
            self._is_full = True
            self._lost_by_limit += lines.count(b"\n")
            return
        self._is_full = False
        self._put += cost  # first, or the entry could be taken before it counts
        self._entries.append(lines)

    def piece(self) -> bytes:
        """Return what is to be written next, b"" if nothing is. It remains the same until
        `written` or `failed` is called."""
        if not self._notice and not self._lines:
            self._lines = self._gather()
            if self._lines and self._has_failed:
                self._notice = (b"" if self._ends_line else b"\n") + self._tell()
        return self._notice or self._lines

    def written(self, count: int) -> None:
        """Remove the first `count` bytes of the piece, at least one."""
        self._ends_line = self.piece()[count - 1 : count] == b"\n"
        self._has_failed = False
        if self._notice:
            self._notice = self._notice[count:]
            if not self._notice:
                self._told = self._tells
        else:
            self._lines = self._lines[count:]
        if not self._notice and not self._lines:
            if not self._entries:
                self._notice = self._tell()
            if not self._notice:  # before that, `put` accepts nothing that would precede it
                self._finish()

    def failed(self) -> None:
        """Lose the piece, because it cannot be written. The next one begins with the notice."""
        self._lost_by_failure += self._lines.count(b"\n")
        self._has_failed = True
        self._notice = self._lines = b""
        self._finish()

    def clear(self) -> None:
        """Forget everything, as a forked process must: its parent writes what was put before."""
        self._entries.clear()
        self._notice = self._lines = b""
        self._taken, self._cost = self._put, 0
        self._told = self._lost

    @property
    def _lost(self) -> int:
        return self._lost_by_limit + self._lost_by_failure

    def _gather(self) -> bytes:
        """Take as many entries as fit in PIPE_BUF, at least one if there is one."""
        entries: list[bytes] = []
        size = 0
        while self._entries and (not entries or size + len(self._entries[0]) <= PIPE_BUF):
            entries.append(self._entries.popleft())
            size += len(entries[-1])
        self._cost = size + OVERHEAD * len(entries)
        return b"".join(entries)

    def _tell(self) -> bytes:
        """Return the line for those lost since the last one, b"" if none were."""
        self._tells = self._lost
        if self._tells == self._told:
            return b""
        if self._describe_lost is None:
            self._told = self._tells
            return b""
        return self._describe_lost(self._tells - self._told)

    def _finish(self) -> None:
        self._taken += self._cost
        self._cost = 0
