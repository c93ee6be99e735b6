"""The signals that a process with a selector receives. They only append to a list, and wake the
selector; the loop around it acts on them.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from collections.abc import Collection, Iterable, Iterator


class CaughtSignals:
    """The numbers of signals, in the order in which they arrived, while they are caught."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._wakeup.setblocking(False)
        self._wakeup_end.setblocking(False)

    @contextlib.contextmanager
    def catching(self, numbers: Iterable[int], selector: selectors.BaseSelector) -> Iterator[None]:
        """Catch these signals, and have each wake `selector`, while the context is open."""
        selector.register(self._wakeup, selectors.EVENT_READ, self)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in before:
            signal.signal(number, lambda number, _: self._numbers.append(number))
        old_fd = signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)

    def sleep_again(self) -> None:
        """Let the selector that was woken wait for further signals."""
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)

    def has_any(self, numbers: Collection[int | None]) -> bool:
        """Return True if one of these signals has arrived."""
        return any(number in numbers for number in self._numbers)

    def take(self, number: int | None) -> bool:
        """Return True if this signal has arrived, and forget it."""
        has_arrived = number in self._numbers
        while number in self._numbers:  # in place: a handler may append meanwhile
            self._numbers.remove(number)
        return has_arrived

    def clear(self) -> None:
        """Forget all that have arrived."""
        self._numbers.clear()

    def close(self) -> None:
        """Close the sockets that wake the selector, once nothing is caught any more or in a forked
        process."""
        self._wakeup.close()
        self._wakeup_end.close()
