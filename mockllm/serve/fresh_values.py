"""Values unique to each delivery: an id and the current time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

from mockllm.replies.ready import ONE_MILLISECOND
from mockllm.state.responses import make_beginning, make_end
from mockllm.wire.placeholders import FreshValues

_new = tuple.__new__  # half the time of the class's own constructor
_STRIDE = 0x9E3779B97F4A7C15F39D  # odd, so counting by it reaches every number once
_BEGINNINGS = 256  # of ids with one end


class FreshValueSource:
    """Generates the values of deliveries. Ids look random, never repeat and encode the `slot` of
    the worker process. Each source starts at a random number, so create it after forking. `time_of`
    returns the Unix time."""

    def __init__(self, slot: int = 0, time_of: Callable[[], float] = time.time) -> None:
        self._unique_id = _generate_ids(slot).__next__
        self._time_of = time_of
        self._until = 0.0  # monotonic seconds at which this second ends
        self._seconds = b""
        self._date = b""

    def next(self, now: float, decided_in: float = 0.0) -> FreshValues:
        """Return the values of the next delivery, whose decision took `decided_in` seconds. It is
        `now`, in monotonic seconds: who delivers knows that already."""
        if now >= self._until:
            self._begin_second(now)
        elapsed = ONE_MILLISECOND if decided_in <= 0.001 else _milliseconds(decided_in)
        return _new(FreshValues, (self._unique_id(), self._seconds, self._date, elapsed))

    def _begin_second(self, now: float) -> None:
        time_of_day = self._time_of()
        second = int(time_of_day)
        self._until = now + (second + 1 - time_of_day)
        self._seconds = b"%010d" % second
        self._date = formatdate(second, usegmt=True).encode()


def _generate_ids(slot: int) -> Iterator[bytes]:
    """Generate ids that never repeat, as `make_unique_id` makes them in three times the time: their
    beginnings are made once, and an end for each run of them."""
    number = int.from_bytes(os.urandom(10))
    beginnings = [make_beginning(number + each * _STRIDE) for each in range(_BEGINNINGS)]
    while True:
        number += _STRIDE
        end = make_end(number, slot)
        for beginning in beginnings:
            yield beginning + end


def _milliseconds(seconds: float) -> bytes:
    """Return `seconds` as milliseconds, rounded up, in at most six digits."""
    return b"%d" % min(math.ceil(seconds * 1000), 999_999)
