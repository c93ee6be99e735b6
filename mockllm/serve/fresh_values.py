"""Values unique to each delivery: an id and the current time."""

from __future__ import annotations

import math
import os
import time
from binascii import hexlify
from email.utils import formatdate

from mockllm.replies.ready import ONE_MILLISECOND
from mockllm.state.responses import NUMBER_BITS, NUMBER_MASK, SLOT_MASK
from mockllm.wire.placeholders import FreshValues

_new = tuple.__new__  # half the time of the class's own constructor
_STRIDE = 0x9E3779B97F4A7C15F39D  # odd, so counting by it reaches every number once


class FreshValueSource:
    """Generates the values of deliveries. Ids look random, never repeat and encode the `slot` of
    the worker process. Each source starts at a random number, so create it after forking."""

    def __init__(self, slot: int = 0) -> None:
        self._slot = slot
        self._number = int.from_bytes(os.urandom(10))
        self._second = -1
        self._seconds = b""
        self._date = b""

    def next(self, decided_in: float = 0.0) -> FreshValues:
        """Return the values of the next delivery, whose decision took `decided_in` seconds."""
        self._number = number = (self._number + _STRIDE) & NUMBER_MASK
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._seconds = b"%010d" % second
            self._date = formatdate(second, usegmt=True).encode()
        elapsed = ONE_MILLISECOND if decided_in <= 0.001 else _milliseconds(decided_in)
        # as `make_unique_id`, 0.2 µs faster
        encoded = ((self._slot ^ number) & SLOT_MASK) << NUMBER_BITS | number
        unique_id = hexlify(encoded.to_bytes(10))
        return _new(FreshValues, (unique_id, self._seconds, self._date, elapsed))


def _milliseconds(seconds: float) -> bytes:
    """Return `seconds` as milliseconds, rounded up, in at most six digits."""
    return b"%d" % min(math.ceil(seconds * 1000), 999_999)
