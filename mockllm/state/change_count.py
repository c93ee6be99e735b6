"""Counts the changes of what decisions depend on beside the request: those of the configuration,
the mocks and the sessions. A decision is repeated only while their number is the same.
"""

from __future__ import annotations

from collections.abc import Callable

BEHIND = -1
"""No number of changes: some are not known yet."""


class ChangeCount:
    """The number of the changes so far, also of those that other processes make."""

    def __init__(self) -> None:
        self.known = 0
        """The number of the changes that held for the last decision."""
        self._catch_up: Callable[[], bool] | None = None

    def add(self) -> None:
        """Count one more."""
        self.known += 1

    def follow(self, catch_up: Callable[[], bool]) -> None:
        """Call `catch_up` before each decision that is repeated: it makes the changes of other
        processes, as whoever asks for a new decision does before it, and returns False if it cannot
        make all of them at once."""
        self._catch_up = catch_up

    def latest(self) -> int:
        """Return the number of all changes so far, before a decision is repeated. It is `BEHIND`
        while there are some that are not known."""
        if self._catch_up is not None and not self._catch_up():
            return BEHIND
        return self.known
