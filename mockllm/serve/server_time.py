"""The time of another clock, which is asked for over a network."""

from __future__ import annotations


class ServerTime:
    """The time of a clock there as that of a clock here, in seconds: what one has, the other had at
    the same moment, but for half a round trip at most."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._error = float("inf")

    def note(self, sent: float, server: float, received: float) -> None:
        """Note that it was `server` there between these two times here."""
        offset, error = server - (sent + received) / 2, (received - sent) / 2
        if error <= self._error or abs(offset - self._offset) > error + self._error:
            self._offset, self._error = offset, error

    def to_server(self, here: float) -> float:
        """Return the time there."""
        return here + self._offset

    def from_server(self, there: float) -> float:
        """Return the time here."""
        return there - self._offset
