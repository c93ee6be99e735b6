"""The state in maps that several processes share, and whose places are in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mockllm.serve.shared_lock import Owners
from mockllm.serve.shared_maps import SharedMaps
from mockllm.state.operations import Enter, Result
from mockllm.state.store import State

BURIAL = 0.05  # seconds between two searches for leases of processes that have ended


class SharedState(State):
    """The state in maps of several processes. A lease belongs to the process that enters it: its
    full name begins with the number of the process and a space."""

    def __init__(self, maps: SharedMaps, owners: Owners, gone: Callable[[str], None]) -> None:
        super().__init__(maps, gone)
        self._owners = owners
        self._next_burial = 0.0

    def _enter(self, operation: Enter) -> Result:
        result = super()._enter(operation)
        if result is not None and self._may_bury():
            owners = set(map(owner_of, self.leases.in_pool(operation.pool)))
            dead = [owner for owner in owners if not self._owners.is_alive(owner)]
            for owner in dead:
                self.bury(owner)
            if dead:
                return super()._enter(operation)
        return result

    def _full_name(self, lease: str) -> str:
        return f"{self._owners.number} {lease}"

    def _may_bury(self) -> bool:
        """Return True if it is time to search for processes that have ended."""
        now = time.monotonic()
        if now < self._next_burial:
            return False
        self._next_burial = now + BURIAL
        return True

    def bury(self, owner: int) -> None:
        """Give the places of a process back that has ended, also those in lines."""
        for lease in self.leases.all():
            if owner_of(lease) == owner:
                self.leases.leave(lease)


def owner_of(lease: str) -> int:
    """Return the number of the process that has entered a lease."""
    return int(lease.partition(" ")[0])


def own_name(lease: str) -> str:
    """Return the name of a lease in the process that has entered it."""
    return lease.partition(" ")[2]


class SessionsSeen:
    """What there is to know of the sessions of a state, which is looked at by `look`."""

    def __init__(self, look: Callable[[Callable[[State], Any]], Any]) -> None:
        self._look = look

    @property
    def open(self) -> tuple[str, ...]:
        """The open sessions, as those of `Sessions`."""
        names: tuple[str, ...] = self._look(lambda state: state.sessions.open)
        return names

    def is_open(self, name: str) -> bool:
        """Return what `Sessions.is_open` does."""
        return bool(self._look(lambda state: state.sessions.is_open(name)))

    def can_begin(self, name: str, now: float) -> bool:
        """Return what `Sessions.can_begin` does."""
        return bool(self._look(lambda state: state.sessions.can_begin(name, now)))
