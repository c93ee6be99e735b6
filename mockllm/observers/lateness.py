"""Counts how late the steps of paced answers were, and what else tells whether the server was too
slow for them: a histogram and counters of constant size. `observers.timing` says what they mean.

A step is late by the time from when it was due until it was handed to the system. Steps that waited
for a slow client are not counted. It does not know why a step was late.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, MutableSequence, Sequence

FINE = 0.0001  # seconds, the width of the first buckets
FINE_BUCKETS = 100  # up to 10 ms
GROWTH = 1.25  # by which each later bucket is wider
MAX = 60.0  # seconds; the last bucket has what is later
_COARSE_BUCKETS = math.ceil(math.log(MAX / (FINE * FINE_BUCKETS), GROWTH))
BUCKETS = FINE_BUCKETS + _COARSE_BUCKETS + 1

_LATEST, _ANSWERS, _MOST_OPEN, _STREAMS, _TOKENS, _STALL, _OPEN_TIME, _WORK = range(
    BUCKETS, BUCKETS + 8
)
LOADS = 17
"""Classes of the number of open answers: 1, 2 to 3, 4 to 7 and so on; 65,536 and more are one."""
_STEPS_AT = BUCKETS + 8  # the first of as many cells as there are loads
_LATE_AT = _STEPS_AT + LOADS
CELLS = _LATE_AT + LOADS
"""The numbers that all this consists of, each of 64 bits."""
_LARGEST = (_LATEST, _STALL)  # cells of which not the sum is that of the whole
_NANOSECOND = 1e-9

MAX_HELD = 0.01  # seconds by which one step in a hundred may be late on schedule
MAX_LATE = 0.01  # the share of steps that may be late by more
MIN_SHARE = 0.1  # of all late steps, at a load that is to blame for them


def limit_of(bucket: int) -> float:
    """Return the seconds that end a bucket; infinity for the last one."""
    if bucket < FINE_BUCKETS:
        return (bucket + 1) * FINE
    if bucket == BUCKETS - 1:
        return math.inf
    return FINE * FINE_BUCKETS * GROWTH ** (bucket - FINE_BUCKETS + 1)


_LIMITS = [*map(limit_of, range(BUCKETS - 1))]


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket for a step that was late by so many seconds."""
    return bisect_right(_LIMITS, seconds)


class Lateness:
    """A histogram of lateness and counters, in `CELLS` whole numbers, which processes may share.
    Each has its own: only one process writes."""

    __slots__ = ("_cells", "_latest", "_load", "_processes")

    def __init__(self, cells: MutableSequence[int] | memoryview | None = None) -> None:
        self._cells = [0] * CELLS if cells is None else cells
        self._latest = 0.0  # of those that were added here
        self._load = 0  # the class of the number of answers that are open now
        self._processes = 1

    @classmethod
    def sum(cls, parts: Iterable[Lateness]) -> Lateness:
        """Return the histogram of all steps of `parts`. Its `most_open` is that of processes which
        all have their most answers at the same time."""
        total = cls()
        total._processes = 0
        for part in parts:
            largest = {cell: max(total._cells[cell], part._cells[cell]) for cell in _LARGEST}
            total._cells = [
                one + other for one, other in zip(total._cells, part._cells, strict=True)
            ]
            for cell, value in largest.items():
                total._cells[cell] = value
            total._processes += part.answers > 0
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
    def streams(self) -> int:
        """The number of those which are streams."""
        return self._cells[_STREAMS]

    @property
    def tokens(self) -> int:
        """The number of tokens in all steps."""
        return self._cells[_TOKENS]

    @property
    def most_open(self) -> int:
        """The most paced answers that were open at once."""
        return self._cells[_MOST_OPEN]

    @property
    def longest_stall(self) -> float:
        """The longest time in seconds by which the loop was late to look at what is due."""
        return self._cells[_STALL] * _NANOSECOND

    @property
    def cpu_share(self) -> float:
        """The share of the time with open answers in which the loops worked: of all their
        processors, from 0 to 1."""
        open_time = self._cells[_OPEN_TIME]
        return min(self._cells[_WORK] / open_time, 1.0) if open_time else 0.0

    @property
    def late_above(self) -> int:
        """The number of open answers up to which the steps were in time, as far as it can be said;
        of all processes together. 0 if there is none."""
        late = self._cells[_LATE_AT : _LATE_AT + LOADS]
        steps = self._cells[_STEPS_AT : _STEPS_AT + LOADS]
        least = sum(late) * MIN_SHARE
        to_blame = [
            load
            for load in range(LOADS)
            if late[load] > steps[load] * MAX_LATE and late[load] >= least
        ]
        return ((1 << min(to_blame)) - 1) * self._processes if to_blame else 0

    def begin(self, open_answers: int, *, is_stream: bool = False) -> None:
        """Count an answer that begins, now that so many are open."""
        self._cells[_ANSWERS] += 1
        if is_stream:
            self._cells[_STREAMS] += 1
        if open_answers > self._cells[_MOST_OPEN]:
            self._cells[_MOST_OPEN] = open_answers
        self.set_load(open_answers)

    def set_load(self, open_answers: int) -> None:
        """Note that so many answers are open from now on."""
        self._load = min(max(open_answers.bit_length() - 1, 0), LOADS - 1)

    def add_all(self, lates: Sequence[float], tokens: int) -> None:
        """Count steps, with so many tokens, that were late by these seconds."""
        cells, load = self._cells, self._load
        cells[_TOKENS] += tokens
        number = len(lates)
        if not number:
            return
        cells[_STEPS_AT + load] += number
        in_order = sorted(lates)  # then those of a bucket are counted at once
        at = 0
        while at < number:
            bucket = bucket_of(in_order[at])
            end = number if bucket == BUCKETS - 1 else bisect_left(in_order, _LIMITS[bucket], at)
            cells[bucket] += end - at
            at = end
        latest = in_order[-1]
        if latest > self._latest:
            self._latest = latest
            cells[_LATEST] = max(int(latest / _NANOSECOND), cells[_LATEST])
        if latest > MAX_HELD:
            cells[_LATE_AT + load] += number - bisect_right(in_order, MAX_HELD)

    def stall(self, seconds: float) -> None:
        """Note that the loop was late by so many seconds."""
        self._cells[_STALL] = max(int(seconds / _NANOSECOND), self._cells[_STALL])

    def work(self, seconds: float, of: float) -> None:
        """Count the seconds in which the loop worked, `of` those in which answers were open."""
        self._cells[_WORK] += int(seconds / _NANOSECOND)
        self._cells[_OPEN_TIME] += int(of / _NANOSECOND)

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
