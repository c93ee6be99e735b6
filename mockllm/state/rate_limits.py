"""Rate limits as token buckets that are refilled continuously, and places for concurrent requests.

A limit of 60 requests a minute is a bucket of 60 that gains one a second. A bucket is what is used
of it at a time, so its refill costs nothing and an untouched bucket is a full one. The functions
are pure: what has happened before is in the bucket, what time it is in their arguments. `Buckets`
and `Leases` remember the buckets and places of one process.

For example, with a limit of 3 in 60 seconds, of which all 3 are used, one more is refused and has
to wait for (3 + 1 - 3) / 3 of the 60 seconds: 20 s.

In any period, no more is admitted than the whole limit and the refill of the period. If the cost of
an answer is known only at its end, the request is charged with the most that it can be, and settled
at the end: what it did not cost is given back, less what has been refilled since. So the sum of the
true costs keeps to the same bound, in whichever order answers begin and end.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

MAX_BUCKETS = 65_536  # of all sessions; about 16 MB
TOLERANCE = 1e-9  # of a limit: more than what time as a float cannot tell apart


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

    def __init__(self) -> None:
        # a session and, in it, a bucket are moved to the end when they are used
        self._sessions: OrderedDict[str | None, OrderedDict[str, Bucket]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def spend(self, charges: Sequence[Charge], now: float) -> Spent | Limited:
        """Charge a request in all of its buckets, or in none."""
        used = tuple(used_at(self._get(charge), charge.limit, now) for charge in charges)
        for place, (charge, level) in enumerate(zip(charges, used, strict=True)):
            if not fits(level, charge.limit, charge.cost):
                return Limited(place, used, wait_for(level, charge.limit, charge.cost))
        after = tuple(level + charge.cost for charge, level in zip(charges, used, strict=True))
        for charge, level in zip(charges, after, strict=True):
            self._put(charge, Bucket(level, now))
        return Spent(after)

    def settle(self, charge: Charge, cost: float, since: float, now: float) -> None:
        """Settle a `charge` that was spent at the time `since`, now that the true `cost` is known.
        Without effect on a bucket that is full or forgotten."""
        bucket = self._get(charge)
        given_back = refund(charge.limit, charge.cost, cost, now - since)
        if given_back and bucket.used:
            level = used_at(bucket, charge.limit, now)
            self._put(charge, Bucket(max(level - given_back, 0.0), now))

    def reset(self, session: str | None = None) -> None:
        """Fill the buckets of one session; without one, all."""
        if session is None:
            self._sessions.clear()
            self._size = 0
        else:
            self._size -= len(self._sessions.pop(session, ()))

    def _get(self, charge: Charge) -> Bucket:
        buckets = self._sessions.get(charge.session)
        return FULL if buckets is None else buckets.get(charge.bucket, FULL)

    def _put(self, charge: Charge, bucket: Bucket) -> None:
        buckets = self._sessions.get(charge.session)
        if buckets is None:
            buckets = self._sessions[charge.session] = OrderedDict()
        self._sessions.move_to_end(charge.session)
        if charge.bucket not in buckets:
            self._size += 1
        buckets[charge.bucket] = bucket
        buckets.move_to_end(charge.bucket)
        if self._size > MAX_BUCKETS:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        session, buckets = next(iter(self._sessions.items()))
        buckets.popitem(last=False)
        self._size -= 1
        if not buckets:
            del self._sessions[session]


class Leases:
    """The places of concurrent requests that are taken. A lease is taken until it is given back."""

    def __init__(self) -> None:
        self._pools: dict[str, set[str]] = {}
        self._taken: dict[str, str] = {}  # lease, pool

    def __len__(self) -> int:
        return len(self._taken)

    def enter(self, pool: str, lease: str, places: int) -> bool:
        """Take one of the `places` of a pool. Returns False, without effect, if all are taken."""
        leases = self._pools.get(pool)
        if leases is not None and len(leases) >= places:
            return False
        if leases is None:
            leases = self._pools[pool] = set()
        leases.add(lease)
        self._taken[lease] = pool
        return True

    def leave(self, lease: str) -> None:
        """Give a place back. Without effect if the lease has none."""
        pool = self._taken.pop(lease, None)
        if pool is None:
            return
        leases = self._pools[pool]
        leases.discard(lease)
        if not leases:
            del self._pools[pool]
