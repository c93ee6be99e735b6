"""When the entries of traffic began: with the server, or when somebody started them by name.

All times are in seconds since the start of the server, in its own time, which may pass faster than
real time.
"""

from __future__ import annotations

from collections.abc import Mapping, Set


class TrafficTimes:
    """The entries that were started or stopped by name. All others began with the server."""

    def __init__(self) -> None:
        self._begun: dict[str, float | None] = {}

    @property
    def begun(self) -> Mapping[str, float | None]:
        """When those that were started began; None of those that were stopped."""
        return dict(self._begun)

    def start(self, name: str, now: float) -> None:
        """Let the entries with this name begin now, whether they have begun before or not."""
        self._begun[name] = now

    def stop(self, name: str) -> None:
        """Let the entries with this name hold for no request until they are started or reset."""
        self._begun[name] = None

    def reset(self, name: str) -> None:
        """Let the entries with this name be as if they had never been started or stopped."""
        self._begun.pop(name, None)

    def elapsed(self, name: str, now: float) -> float | None:
        """Return the seconds since the entries with this name began; None if they are stopped. An
        empty name is that of entries without one."""
        begun = self._begun.get(name, 0.0)
        return None if begun is None else now - begun

    def keep(self, names: Set[str]) -> None:
        """Forget what became of entries whose names are not among these."""
        for name in self._begun.keys() - names:
            del self._begun[name]
