"""Time that passes at a changing rate, and the deadlines in it, of which there may be thousands.

Deadlines are kept in buckets, each of a thousandth of a second, which are sorted one by one when
their time comes. That takes a third of the time of one heap, whose every deadline is compared with
ten others: here only the numbers of buckets are in a heap.

    put       ──> buckets: {1200: [...], 1203: [...]}
    the first bucket, sorted: [1.1999, 1.1993, 1.1991]  ──> pop, from its end

It has no clock: every call says what time it is.
"""

from __future__ import annotations

import math
from bisect import insort_left
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Generic, TypeVar

PER_SECOND = 1_000  # buckets
MIN_CLEANED = 64  # discarded deadlines that are kept until they are due
_NONE = -math.inf  # the number of no bucket

Item = TypeVar("Item")

_due = attrgetter("due")


class Deadline(Generic[Item]):
    """When an item is `due`, in the time of its lane. It has no item any more if it was
    discarded."""

    __slots__ = ("due", "item")

    def __init__(self, due: float, item: Item) -> None:
        self.due = due
        self.item: Item | None = item


class Lane(Generic[Item]):
    """Time that passes at a changing rate, and items with deadlines in it."""

    __slots__ = (
        *("_buckets", "_discarded", "_first", "_first_number", "_kept", "_numbers", "_rate"),
        *("_real", "_time"),
    )

    def __init__(self, now: float, rate: float = 1.0) -> None:
        self._real = now  # when the rate was set
        self._time = now  # of the lane, then
        self._rate = rate
        self._buckets: dict[int, list[Deadline[Item]]] = {}
        self._numbers: list[int] = []  # of the buckets; a heap
        self._first: list[Deadline[Item]] = []  # the bucket before all others, latest first
        self._first_number = _NONE
        self._kept = 0  # deadlines, with the discarded ones
        self._discarded = 0

    def __len__(self) -> int:
        return self._kept - self._discarded

    @property
    def rate(self) -> float:
        """How many seconds of the lane pass in a second."""
        return self._rate

    def time_at(self, now: float) -> float:
        """Return the lane's time when it is `now`."""
        return self._time + (now - self._real) * self._rate

    def real_time_of(self, time: float) -> float:
        """Return when it is `time` in the lane, if the rate stays as it is."""
        return self._real + (time - self._time) / self._rate

    def set_rate(self, rate: float, now: float) -> None:
        """Let time pass at this rate from `now` on, or from the last change if that is later."""
        now = max(now, self._real)
        if rate != self._rate:
            self._time, self._real, self._rate = self.time_at(now), now, rate

    def add(self, due: float, item: Item) -> Deadline[Item]:
        """Add an item that is due at this time of the lane."""
        deadline = Deadline(due, item)
        self.put(deadline)
        return deadline

    def put(self, deadline: Deadline[Item]) -> None:
        """Add a deadline that is in no lane, such as one that was returned by `pop` and has a new
        time."""
        self._kept += 1
        number = int(deadline.due * PER_SECOND)
        if number == self._first_number:
            insort_left(self._first, deadline, key=_earliness)
            return
        if number < self._first_number:
            self._put_back_first()
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.append(deadline)
        else:
            self._buckets[number] = [deadline]
            heappush(self._numbers, number)

    def discard(self, deadline: Deadline[Item]) -> None:
        """Remove a deadline of this lane that was not returned by `pop`; without effect if it was
        removed before."""
        if deadline.item is None:
            return
        deadline.item = None
        self._discarded += 1
        if self._discarded > self._kept // 2 + MIN_CLEANED or self._discarded == self._kept:
            self._clean()

    def pop(self, time: float) -> Deadline[Item] | None:
        """Remove and return the first deadline that is due by `time` of the lane; None if none
        is."""
        return next(self.due_by(time), None)

    def due_by(self, time: float) -> Iterator[Deadline[Item]]:
        """Remove and return the deadlines that are due by `time` of the lane, in order. Each is
        removed when it is asked for, and others may be added and discarded in between."""
        while True:
            first = self._first
            if not first:
                if not self._numbers or self._numbers[0] > time * PER_SECOND:
                    return
                self._sort_next()
                continue
            deadline = first[-1]
            if deadline.due > time:
                return
            del first[-1]
            self._kept -= 1
            if deadline.item is None:
                self._discarded -= 1
            else:
                yield deadline

    def next_deadline(self) -> float:
        """Return when the first item is due in real time, if the rate stays as it is; infinity if
        there is none. It may be the deadline of an item that was discarded."""
        if not self._first:
            if not self._numbers:
                return math.inf
            self._sort_next()
        return self.real_time_of(self._first[-1].due)

    def _sort_next(self) -> None:
        """Let the next bucket be the first one."""
        number = heappop(self._numbers)
        first = self._buckets.pop(number)
        first.reverse()  # those that are due at the same time keep their order
        first.sort(key=_due, reverse=True)
        self._first, self._first_number = first, number

    def _put_back_first(self) -> None:
        """Let the first bucket be one of the others again: an earlier one comes."""
        if self._first:
            self._first.reverse()
            number = int(self._first_number)
            self._buckets[number] = self._first
            heappush(self._numbers, number)
            self._first = []
        self._first_number = _NONE

    def _clean(self) -> None:
        """Forget the discarded deadlines."""
        self._first = [deadline for deadline in self._first if deadline.item is not None]
        kept = (
            (number, [deadline for deadline in bucket if deadline.item is not None])
            for number, bucket in self._buckets.items()
        )
        self._buckets = {number: bucket for number, bucket in kept if bucket}
        self._numbers = [*self._buckets]
        heapify(self._numbers)
        self._kept -= self._discarded
        self._discarded = 0


def _earliness(deadline: Deadline[Item]) -> float:
    return -deadline.due
