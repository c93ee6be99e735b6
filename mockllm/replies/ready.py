"""The complete bytes of a reply, except for the values unique to each delivery."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

from mockllm.wire.placeholders import UNIQUE_ID, FreshValues, fill_fresh

ONE_MILLISECOND = b"1"
"""The `elapsed_ms` of nearly every answer, rounded up."""


class ReadyBytes:
    """The bytes of a reply, head and body. `finish` returns the same as `fill_fresh`, faster: 2 µs
    instead of 7 for a stream of 50 chunks.

    Times are filled in once a second, and the bytes in between are cut at the unique ids, so that
    a delivery costs one join.
    """

    __slots__ = ("_is_new", "_make", "_pieces", "_seconds")
    _pieces: list[bytes]
    _seconds: bytes

    def __init__(self, make: Callable[[FreshValues], bytes]) -> None:
        """`make` returns the bytes with the values of a delivery filled in, however slowly."""
        self._make = make
        self._is_new = True

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the ready bytes of `data`, which contains the placeholders."""
        return cls(partial(fill_fresh, data))

    def finish(self, fresh: FreshValues) -> bytes:
        """Return the bytes of one delivery, with its values filled in."""
        # cutting does not pay off for the first delivery, perhaps the only one, or a rare time
        if self._is_new:
            self._is_new = False
            self._seconds = b""
            return self._make(fresh)
        if fresh.elapsed_ms != ONE_MILLISECOND:
            return self._make(fresh)
        if fresh.seconds != self._seconds:
            self._seconds = fresh.seconds
            self._pieces = self._make(fresh._replace(unique_id=UNIQUE_ID)).split(UNIQUE_ID)
        return fresh.unique_id.join(self._pieces)
