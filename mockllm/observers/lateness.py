"""How late the steps of paced answers were: a histogram of constant size, and what it says.

A step is late by the time from when it was due until it was handed to the system. Steps that waited
for a slow client are not counted. It does not know why a step was late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

FINE = 0.0001  # seconds, the width of the first buckets
FINE_BUCKETS = 100  # up to 10 ms
GROWTH = 1.25  # by which each later bucket is wider
MAX = 60.0  # seconds; the last bucket has what is later
_COARSE_BUCKETS = math.ceil(math.log(MAX / (FINE * FINE_BUCKETS), GROWTH))
BUCKETS = FINE_BUCKETS + _COARSE_BUCKETS + 1

MAX_HELD = 0.01  # seconds by which one step in a hundred may be late on schedule


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket for a step that was late by so many seconds."""
    fine = int(seconds / FINE)
    if fine < FINE_BUCKETS:
        return max(fine, 0)
    coarse = int(math.log(seconds / (FINE * FINE_BUCKETS), GROWTH))
    return FINE_BUCKETS + min(max(coarse, 0), _COARSE_BUCKETS)


def limit_of(bucket: int) -> float:
    """Return the seconds that end a bucket; infinity for the last one."""
    if bucket < FINE_BUCKETS:
        return (bucket + 1) * FINE
    if bucket == BUCKETS - 1:
        return math.inf
    return FINE * FINE_BUCKETS * GROWTH ** (bucket - FINE_BUCKETS + 1)


class Lateness:
    """A histogram of lateness: `counts` are the numbers of steps by bucket, `latest` is the largest
    lateness in seconds."""

    __slots__ = ("counts", "latest")

    def __init__(self, counts: Sequence[int] = (), latest: float = 0.0) -> None:
        self.counts = [*counts] or [0] * BUCKETS
        self.latest = latest

    @classmethod
    def sum(cls, parts: Iterable[Lateness]) -> Lateness:
        """Return the histogram of all steps of `parts`."""
        total = cls()
        for part in parts:
            total.counts = [
                one + other for one, other in zip(total.counts, part.counts, strict=True)
            ]
            total.latest = max(total.latest, part.latest)
        return total

    @property
    def steps(self) -> int:
        """The number of steps."""
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        """Count a step that was late by so many seconds."""
        self.counts[bucket_of(seconds)] += 1
        if seconds > self.latest:
            self.latest = seconds

    def quantile(self, share: float) -> float:
        """Return the seconds by which at most this share of the steps was late, rounded up to the
        end of a bucket; 0 if there are none."""
        left = math.ceil(self.steps * share)
        for bucket, count in enumerate(self.counts):
            left -= count
            if left <= 0 and count:
                return min(limit_of(bucket), self.latest)
        return 0.0

    @property
    def held(self) -> bool:
        """True if 99 of 100 steps were late by at most `MAX_HELD`."""
        return self.quantile(0.99) <= MAX_HELD
