"""Divides the time in which the loop receives large bodies among the connections.

Bodies of megabytes that arrive on many connections would hold the loop for long, so after about
MAX_READING seconds of them in one iteration, no connection is read from before the next. Those that
had their share then wait until all others had one: the loop looks at its sockets in the same order
each time, so the last ones would starve.

For example, five connections send without a pause, and there is time for two in an iteration:

    iteration 1   1, 2         3, 4 and 5 are stopped
    iteration 2   3, 4         5 is stopped, 1 and 2 still are
    iteration 3   5            there was time for all: the round is over
    iteration 4   1, 2 ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Protocol

MAX_READING = 0.002  # seconds in which large bodies are received in one iteration
MAX_STOPPED = 1_000  # connections; to stop and start reading from more would take milliseconds


class Readable(Protocol):
    """A connection whose reading can be stopped."""

    def stop_reading(self) -> bool: ...
    def start_reading(self) -> None: ...


class Reading:
    """The time that is left for receiving in this iteration, and the connections that wait."""

    def __init__(self, connections: Set[Readable]) -> None:
        self._connections = connections
        self._spent = 0.0
        self._is_over = False
        self._is_renewing = False
        self._had_share: set[Readable] = set()
        self._stopped: set[Readable] = set()

    def spend(self, connection: Readable, seconds: float) -> None:
        """Count `seconds` of receiving from `connection`. If none are left, read from no connection
        for the rest of this iteration."""
        self._spent += seconds
        self._had_share.add(connection)
        if self._spent >= MAX_READING and not self._is_over:
            self._is_over = True
            self._stop()
        self._renew_later()

    def _stop(self) -> None:
        if len(self._connections) <= MAX_STOPPED:
            others = self._connections - self._stopped
            self._stopped.update(each for each in others if each.stop_reading())

    def _renew_later(self) -> None:
        if not self._is_renewing:
            self._is_renewing = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Begin an iteration: read from those that had no share yet, or else from all. It runs in
        the next iteration, before anything is received."""
        begins = self._stopped - self._had_share if self._is_over else self._stopped
        if not begins:
            begins = self._stopped
        if begins == self._stopped:  # the round is over
            self._had_share.clear()
        self._stopped = self._stopped - begins
        self._spent = 0.0
        self._is_over = self._is_renewing = False
        for connection in begins:
            connection.start_reading()
        if self._stopped:
            self._renew_later()
