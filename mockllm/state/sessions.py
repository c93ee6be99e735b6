"""Sessions: which are open, which have ended, which is current.

A session is open from the time it begins. One begun by a test or by the control API is pinned: it
is never evicted, and ends when told or after an hour unused. One begun by a mere request stays open
while it is among the latest `MAX_UNPINNED`; one that is evicted has not ended, and its next request
begins it anew. A session that has ended stays so for ten minutes, in which its requests are
refused, unless a test begins it again.

The common session has the name `COMMON`. It is always open.
"""

from __future__ import annotations

from collections.abc import Callable

from mockllm.state.maps import LocalMaps, Maps, OrderedMap

COMMON = ""

MAX_UNPINNED = 10_000
MAX_PINNED = 100_000
MAX_ENDED = 100_000
MAX_UNUSED = 3600.0  # seconds until a pinned session ends
STAYS_ENDED = 600.0  # seconds

_CURRENT = "current session"


class Sessions:
    """The sessions of a server. `gone` is called with the name of each session that ends or is
    evicted, so that what it remembers can be dropped. All times are those of one monotonic clock,
    in seconds.
    """

    def __init__(self, gone: Callable[[str], None], maps: Maps | None = None) -> None:
        maps = maps or LocalMaps()
        self._gone = gone
        # moved to the end when they are used
        self._pinned: OrderedMap[str, float] = maps.ordered("pinned")  # the time of the last use
        self._unpinned: OrderedMap[str, None] = maps.ordered("unpinned")
        self._ended: OrderedMap[str, float] = maps.ordered("ended")  # the time of the end
        self._facts = maps.facts

    @property
    def current(self) -> str:
        """The session of requests that name none."""
        name: str = self._facts.get(_CURRENT, COMMON)
        return name

    @property
    def open(self) -> tuple[str, ...]:
        """The open sessions but the common one: pinned ones first, then in order of their last
        use."""
        return (*self._pinned, *self._unpinned)

    def is_open(self, name: str) -> bool:
        """Return True if the session has begun and is neither ended nor evicted."""
        return name == COMMON or name in self._pinned or name in self._unpinned

    def can_begin(self, name: str, now: float) -> bool:
        """Return True if `begin` would open and pin the session."""
        self._end_unused(now)
        return name == COMMON or name in self._pinned or len(self._pinned) < MAX_PINNED

    def begin(self, name: str, now: float) -> bool:
        """Open the session and pin it, whether or not it has ended. An open one keeps its state.
        Returns False, without effect, if `MAX_PINNED` are pinned."""
        if not self.can_begin(name, now):
            return False
        if name == COMMON:
            return True
        self._ended.drop(name)
        self._unpinned.drop(name)
        self._pinned.put_last(name, now)
        return True

    def use(self, name: str, now: float) -> bool:
        """Begin the session, and make it the `current` one. While it is current, it does not end
        by being unused. Returns False, without effect, if it cannot begin."""
        if not self.begin(name, now):
            return False
        self._facts[_CURRENT] = name
        return True

    def admit(self, name: str, now: float) -> bool:
        """Return True if a request of this session may be answered, which counts as its use and
        opens an unknown session. False if the session has ended."""
        if name == COMMON:
            return True
        if len(self._pinned):
            self._end_unused(now)
            if name in self._pinned:
                self._pinned.put_last(name, now)
                return True
        if len(self._ended) and self._has_ended(name, now):
            return False
        is_new = name not in self._unpinned
        self._unpinned.put_last(name, None)
        if is_new and len(self._unpinned) > MAX_UNPINNED:
            self._evict()
        return True

    def end(self, name: str, now: float) -> None:
        """End the session, open or unknown. The common one cannot end: nothing happens. A current
        session that ends stays current, so that its late requests are refused."""
        if name != COMMON:
            self._pinned.drop(name)
            self._unpinned.drop(name)
            self._mark_ended(name, now)

    def _evict(self) -> None:
        oldest = self._unpinned.first()
        if oldest is not None:
            self._unpinned.drop(oldest[0])
            self._gone(oldest[0])

    def _end_unused(self, now: float) -> None:
        while (oldest := self._pinned.first()) is not None:
            name, used = oldest
            if now - used < MAX_UNUSED:
                return
            if name == self.current:
                self._pinned.put_last(name, now)
            else:
                self._pinned.drop(name)
                self._mark_ended(name, used + MAX_UNUSED)

    def _mark_ended(self, name: str, at: float) -> None:
        self._ended.put_last(name, at)
        while (oldest := self._ended.first()) is not None:
            if len(self._ended) <= MAX_ENDED and at - oldest[1] < STAYS_ENDED:
                break
            self._ended.drop(oldest[0])
        self._gone(name)

    def _has_ended(self, name: str, now: float) -> bool:
        at = self._ended.get(name)
        if at is None:
            return False
        if now - at < STAYS_ENDED:
            return True
        self._ended.drop(name)
        return False
