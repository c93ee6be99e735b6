"""How late the steps of paced answers were: a histogram of constant size, and what it says.

A step is late by the time from when it was due until it was handed to the system. Steps that waited
for a slow client are not counted. It does not know why a step was late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableSequence, Sequence
from typing import Any

FINE = 0.0001  # seconds, the width of the first buckets
FINE_BUCKETS = 100  # up to 10 ms
GROWTH = 1.25  # by which each later bucket is wider
MAX = 60.0  # seconds; the last bucket has what is later
_COARSE_BUCKETS = math.ceil(math.log(MAX / (FINE * FINE_BUCKETS), GROWTH))
BUCKETS = FINE_BUCKETS + _COARSE_BUCKETS + 1

_LATEST, _ANSWERS, _MOST_OPEN = range(BUCKETS, BUCKETS + 3)
CELLS = BUCKETS + 3
"""The numbers that a histogram consists of, each of 64 bits."""
_NANOSECOND = 1e-9
_PER_FINE = 10_000  # fine buckets in a second

MAX_HELD = 0.01  # seconds by which one step in a hundred may be late on schedule


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket for a step that was late by so many seconds."""
    fine = int(seconds * _PER_FINE)
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
    """A histogram of lateness, in `CELLS` whole numbers, which processes may share. Each has its
    own: only one process writes."""

    __slots__ = ("_cells", "_latest")

    def __init__(self, cells: MutableSequence[int] | memoryview | None = None) -> None:
        self._cells = [0] * CELLS if cells is None else cells
        self._latest = 0.0  # of those that were added here

    @classmethod
    def sum(cls, parts: Iterable[Lateness]) -> Lateness:
        """Return the histogram of all steps of `parts`. Its `most_open` is that of processes which
        all have their most answers at the same time."""
        total = cls()
        for part in parts:
            latest = max(total._cells[_LATEST], part._cells[_LATEST])
            total._cells = [
                one + other for one, other in zip(total._cells, part._cells, strict=True)
            ]
            total._cells[_LATEST] = latest
        return total

    @property
    def counts(self) -> Sequence[int]:
        """The numbers of steps by bucket."""
        return [*self._cells[:BUCKETS]]

    @property
    def steps(self) -> int:
        """The number of steps."""
        return sum(self.counts)

    @property
    def latest(self) -> float:
        """The largest lateness in seconds."""
        return self._cells[_LATEST] * _NANOSECOND

    @property
    def answers(self) -> int:
        """The number of paced answers that have begun."""
        return self._cells[_ANSWERS]

    @property
    def most_open(self) -> int:
        """The most paced answers that were open at once."""
        return self._cells[_MOST_OPEN]

    def begin(self, open_answers: int) -> None:
        """Count an answer that begins, now that so many are open."""
        self._cells[_ANSWERS] += 1
        if open_answers > self._cells[_MOST_OPEN]:
            self._cells[_MOST_OPEN] = open_answers

    def add(self, seconds: float) -> None:
        """Count a step that was late by so many seconds."""
        fine = int(seconds * _PER_FINE)  # of nearly all; a call would take as long as the rest
        self._cells[fine if 0 <= fine < FINE_BUCKETS else bucket_of(seconds)] += 1
        if seconds > self._latest:
            self._latest = seconds
            self._cells[_LATEST] = max(int(seconds / _NANOSECOND), self._cells[_LATEST])

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
    def is_held(self) -> bool:
        """True if 99 of 100 steps were late by at most `MAX_HELD`."""
        return self.quantile(0.99) <= MAX_HELD


# --- what it says ---------------------------------------------------------------------------------


def as_object(lateness: Lateness) -> dict[str, Any]:
    """Return the counts and the verdict as a JSON object, with times in milliseconds."""
    return {
        "answers": lateness.answers,
        "most_open": lateness.most_open,
        "steps": lateness.steps,
        "late_ms": {
            "p50": _milliseconds(lateness.quantile(0.5)),
            "p99": _milliseconds(lateness.quantile(0.99)),
            "max": _milliseconds(lateness.latest),
        },
        "verdict": verdict(lateness),
    }


def verdict(lateness: Lateness) -> str:
    """Say whether the delays that clients saw were those of the configuration."""
    if lateness.is_held:
        return "held the schedule"
    return "late: clients saw delays of the mock server itself; use more --workers or fewer clients"


def as_rows(lateness: Lateness) -> list[tuple[str, str]]:
    """Return the same as names and values of a table."""
    late = as_object(lateness)["late_ms"]
    return [
        ("paced answers", f"{lateness.answers:,}, at most {lateness.most_open:,} open at once"),
        ("steps", f"{lateness.steps:,}"),
        (
            "late by",
            f"{late['p50']:g} ms (p50), {late['p99']:g} ms (p99), {late['max']:g} ms (max)",
        ),
        ("verdict", verdict(lateness)),
    ]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
