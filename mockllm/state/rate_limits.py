"""Rate limits as token buckets that are refilled continuously, and places for concurrent requests.

A limit of 60 requests a minute is a bucket of 60 that gains one a second. A bucket is what is used
of it at a time, so its refill costs nothing and an untouched bucket is a full one. The functions
are pure: what has happened before is in the bucket, what time it is in their arguments. `Buckets`
and `Leases` remember the buckets and places.

For example, with a limit of 3 in 60 seconds, of which all 3 are used, one more is refused and has
to wait for (3 + 1 - 3) / 3 of the 60 seconds: 20 s.

In any period, no more is admitted than the whole limit and the refill of the period. If the cost of
an answer is known only at its end, the request is charged with the most that it can be, and settled
at the end: what it did not cost is given back, less what has been refilled since. So the sum of the
true costs keeps to the same bound, in whichever order answers begin and end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mockllm.state.maps import GroupedMap, LocalMaps, Maps, OrderedMap

MAX_BUCKETS = 65_536  # of all sessions; about 16 MB
TOLERANCE = 1e-9  # of a limit: more than what time as a float cannot tell apart
_new = tuple.__new__  # half the time of the class's own constructor


class Limit(NamedTuple):
    """An `amount` of requests or tokens in each `window` of so many seconds, which is how long an
    empty bucket takes until it is full."""

    amount: float
    window: float

    def refill(self, seconds: float) -> float:
        """Return what comes back in so many seconds."""
        return self.amount * max(seconds, 0.0) / self.window


class Bucket(NamedTuple):
    """So much was `used` at the time `at`; since then it has been refilled."""

    used: float
    at: float


FULL = Bucket(0.0, -math.inf)


def used_at(bucket: Bucket, limit: Limit, now: float) -> float:
    """Return what is used of a bucket at the time `now`."""
    if not bucket.used:
        return 0.0
    return max(bucket.used - limit.refill(now - bucket.at), 0.0)


def fits(used: float, limit: Limit, cost: float) -> bool:
    """Return True if a request with this `cost` may pass when so much is `used`."""
    return used + cost <= limit.amount * (1 + TOLERANCE)


def wait_for(used: float, limit: Limit, cost: float) -> float | None:
    """Return the seconds until a request with this `cost` may pass, if nothing else does; None if
    it never may, because it costs more than the whole limit."""
    if not fits(0.0, limit, cost):
        return None
    return max(used + cost - limit.amount, 0.0) / limit.amount * limit.window


def refund(limit: Limit, charged: float, cost: float, seconds: float) -> float:
    """Return what is given back to a bucket when the true `cost` of a request is known, so many
    `seconds` after it was `charged`. Never below 0: a cost above the charge is not charged."""
    return max(charged - max(cost, limit.refill(seconds)), 0.0)


class Charge(NamedTuple):
    """The `cost` of a request in the `bucket` with this name. With a `session`, the bucket is that
    of the session alone, and ends with it."""

    bucket: str
    limit: Limit
    cost: float = 1.0
    session: str | None = None


class Spent(NamedTuple):
    """The request was charged: so much is `used` now of each of its buckets."""

    used: tuple[float, ...]


class Limited(NamedTuple):
    """A limit refuses the request, which is charged nowhere: that of its charge number `place`, of
    which there is not enough. So much is `used` of each of its buckets. It may pass after `wait`
    seconds; None if it never may."""

    place: int
    used: tuple[float, ...]
    wait: float | None


class Buckets:
    """The buckets of all sessions, and those that sessions share. If there are too many, what is
    longest unused is forgotten, as if it were full."""

    def __init__(self, maps: Maps | None = None) -> None:
        # by session and name, each moved to the end when it is used; only bare tuples are in it
        self._buckets: GroupedMap[str | None, str, tuple[float, float]]
        self._buckets = (maps or LocalMaps()).grouped("buckets")

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, charges: Sequence[Charge], now: float) -> Spent | Limited:
        """Charge a request in all of its buckets, or in none."""
        # what `used_at` and `fits` do, without their calls: 2 µs less for two buckets
        buckets = self._buckets
        used: list[float] = []
        refused: int | None = None
        for place, (name, (amount, window), cost, session) in enumerate(charges):
            bucket = buckets.get(session, name)
            level = 0.0
            if bucket is not None:
                level, at = bucket
                if level and now > at:
                    level = max(level - amount * (now - at) / window, 0.0)
            used.append(level)
            if level + cost > amount * (1 + TOLERANCE) and refused is None:
                refused = place
        if refused is not None:
            _, limit, cost, _ = charges[refused]
            return Limited(refused, tuple(used), wait_for(used[refused], limit, cost))
        for place, (name, _, cost, session) in enumerate(charges):
            used[place] = level = used[place] + cost
            buckets.put_last(session, name, (level, now))
            if len(buckets) > MAX_BUCKETS:
                buckets.drop_first()
        return _new(Spent, (tuple(used),))

    def settle(self, charge: Charge, cost: float, since: float, now: float) -> None:
        """Settle a `charge` that was spent at the time `since`, now that the true `cost` is known.
        Without effect on a bucket that is full or forgotten."""
        name, limit, charged, session = charge
        bucket = self._buckets.get(session, name)
        given_back = refund(limit, charged, cost, now - since)
        if given_back and bucket is not None and bucket[0]:
            level = max(used_at(_new(Bucket, bucket), limit, now) - given_back, 0.0)
            self._buckets.put_last(session, name, (level, now))  # which it has already

    def reset(self, session: str | None = None) -> None:
        """Fill the buckets of one session; without one, all."""
        if session is None:
            self._buckets.clear()
        else:
            self._buckets.drop_group(session)


class Leases:
    """The places of concurrent requests that are taken, and the lines of those that wait for one.

    A lease keeps its place until it is given back. Then the lease that has waited longest in the
    pool has it, at once: a pool with a free place has no line.
    """

    def __init__(self, maps: Maps | None = None) -> None:
        maps = maps or LocalMaps()
        self._pools: GroupedMap[str, str, None] = maps.grouped("pools")
        self._lines: GroupedMap[str, str, str] = maps.grouped("lines")  # lease, again
        self._taken: OrderedMap[str, str] = maps.ordered("leases")  # lease, pool
        self.called: list[str] = []
        """The leases that had to wait, and have a place now. The store empties it."""

    def __len__(self) -> int:
        return len(self._taken)

    def enter(self, pool: str, lease: str, places: int, queue: int | None = 0) -> bool | None:
        """Take one of the `places` of a pool, or wait for one in its line, which has room for so
        many; None is unlimited. Returns True if the lease has a place, False if it waits, and None,
        without effect, if it does neither. A lease that is there already keeps its place."""
        if queue != 0 and self._taken.get(lease) == pool:
            return not self._waits(pool, lease)
        if self._pools.size(pool) < places:
            self._pools.put(pool, lease, None)
            self._taken.put(lease, pool)
            return True
        if queue is not None and self._lines.size(pool) >= queue:
            return None
        self._lines.put(pool, lease, lease)
        self._taken.put(lease, pool)
        return False

    def leave(self, lease: str) -> None:
        """Give a place, or one in a line, back. Without effect if the lease has none."""
        pool = self._taken.get(lease)
        if pool is None:
            return
        self._taken.drop(lease)
        if self._waits(pool, lease):
            self._lines.drop(pool, lease)
            return
        self._pools.drop(pool, lease)
        if self._lines.size(pool):
            following = self._lines.drop_first(pool)
            self._pools.put(pool, following, None)
            self.called.append(following)

    def taken(self, pool: str) -> int:
        """Return the number of places of a pool that are taken."""
        return self._pools.size(pool)

    def in_pool(self, pool: str) -> tuple[str, ...]:
        """Return the leases that have a place in a pool."""
        return tuple(lease for lease, _ in self._pools.items(pool))

    def all(self) -> tuple[str, ...]:
        """Return all leases that have a place, or wait for one."""
        return tuple(self._taken)

    def _waits(self, pool: str, lease: str) -> bool:
        return bool(self._lines.size(pool)) and self._lines.get(pool, lease) is not None
