"""What is new in every answer: an id that no other answer bears, and the time."""

from __future__ import annotations

import math
import os
import time
from email.utils import formatdate

from mockllm.replies.ready import ONE_MILLISECOND
from mockllm.wire.placeholders import FreshValues

_BITS = 80  # twenty hexadecimal digits
_MASK = (1 << _BITS) - 1
_STRIDE = 0x9E3779B97F4A7C15F39D  # odd, so counting by it meets every number once


class FreshValueSource:
    """Gives stamps. Tokens look random and never come twice; each process starts elsewhere, so
    make it after forking."""

    def __init__(self) -> None:
        self._number = int.from_bytes(os.urandom(_BITS // 8))
        self._second = -1
        self._seconds = b""
        self._date = b""

    def next(self, took: float = 0.0) -> FreshValues:
        """The stamps of one more answer, which it took so many seconds to decide."""
        self._number = (self._number + _STRIDE) & _MASK
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._seconds = b"%010d" % second
            self._date = formatdate(second, usegmt=True).encode()
        milliseconds = (
            ONE_MILLISECOND if took <= 0.001 else b"%6d" % min(math.ceil(took * 1000), 999_999)
        )
        return FreshValues(b"%020x" % self._number, self._seconds, self._date, milliseconds)
