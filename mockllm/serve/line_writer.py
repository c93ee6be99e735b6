"""Writes lines to a standard stream without ever making the server wait for who reads it.

A pipe that is not read, a stopped terminal and a slow disk block whoever writes to them. A process
that serves therefore writes in a thread. A process that will fork must not have threads; it writes
what the stream takes at once and keeps the rest for later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from mockllm.serve.pending_lines import MAX_PENDING, PendingLines

LAST_WRITES = 0.5  # seconds for what is pending when the process exits
PAUSE = 0.01  # seconds between two writes of the thread, which collect the lines of a busy server
RETRY = 0.1  # seconds until a stream that took nothing is tried again
PATIENCE = 0.05  # seconds after which a write that blocks against expectation is given up


class LineWriter:
    """Writes to a file descriptor. Lines that find the queue full, or cannot be written, are lost
    and counted; `describe_lost` returns the line that tells how many.

    Until `use_thread` is called, it may only be used in the main thread, and `flush` must be called
    every `RETRY` seconds while it `is_pending`.
    """

    def __init__(
        self,
        descriptor: int,
        describe_lost: Callable[[int], bytes] | None = None,
        *,
        limit: int = MAX_PENDING,
    ) -> None:
        self._descriptor = descriptor
        self._pending = PendingLines(describe_lost, limit=limit)
        self._is_writing = False
        # of the thread
        self._uses_thread = False
        self._thread: threading.Thread | None = None
        self._calls: SimpleQueue[None] = SimpleQueue()  # whose `put` may interrupt itself

    @property
    def is_pending(self) -> bool:
        """True if something is not written yet."""
        return bool(self._pending)

    def use_thread(self) -> None:
        """Write in a thread from now on. In a forked process, its parent writes what is pending."""
        self._pending.clear()
        self._uses_thread = True

    def put(self, lines: bytes) -> None:
        """Write one or more whole lines, in the order of the calls, or lose them. Threads must not
        call it at the same time."""
        self._pending.put(lines)
        if not self._uses_thread:
            self.flush()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mockllm-lines", daemon=True)
            self._thread.start()
        if self._calls.empty():
            self._calls.put(None)

    def flush(self) -> None:
        """Without a thread, write as much as the stream takes at once."""
        if self._uses_thread or self._is_writing:  # in a signal handler that interrupts a write
            return
        self._is_writing = True
        try:
            self._write_pending(_write_briefly)
        finally:
            self._is_writing = False

    def wait(self, timeout: float) -> None:
        """Wait until everything is written, for at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.is_pending and time.monotonic() < deadline:
            self.flush()
            if self.is_pending:
                time.sleep(PAUSE / 2)

    def _run(self) -> None:
        while True:
            self._calls.get()
            while not self._write_pending(_write):
                pass
            time.sleep(PAUSE)

    def _write_pending(self, write: Callable[[int, bytes], int]) -> bool:
        """Return True if nothing is pending any more."""
        while piece := self._pending.piece():
            try:
                count = write(self._descriptor, piece)
            except OSError:  # closed, its reader gone, its disk full
                self._pending.failed()
                continue
            if not count:
                return False
            self._pending.written(count)
        return True


def wait_for_all(writers: Sequence[LineWriter]) -> None:
    """Wait until everything is written, for at most `LAST_WRITES` seconds."""
    deadline = time.monotonic() + LAST_WRITES
    for writer in writers:
        writer.wait(deadline - time.monotonic())


def _write(descriptor: int, data: bytes) -> int:
    """Write, however long it takes. Returns the number of bytes."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # another process has made the stream non-blocking
        select.select([], [descriptor], [], RETRY)
        return 0


def _write_briefly(descriptor: int, data: bytes) -> int:
    """Write what a stream takes at once. Returns the number of bytes."""
    if not select.select([], [descriptor], [], 0)[1]:
        return 0
    # It may block nevertheless: others write to it, too. An alarm then puts what cannot be written
    # in the place of the copy, and the interrupted call fails. A closed number could be another's
    # by then, and raising in the handler would forget how much a finished call wrote.
    copy = os.dup(descriptor)

    def give_up(*_: object) -> None:
        with contextlib.suppress(OSError):  # no descriptor is left: the next alarm tries again
            unwritable = os.open(os.devnull, os.O_RDONLY)
            os.dup2(unwritable, copy, inheritable=False)
            os.close(unwritable)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
    try:
        return os.write(copy, data)
    except BlockingIOError:
        return 0
    except OSError as exc:
        if exc.errno == errno.EBADF:
            return 0
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(copy)
