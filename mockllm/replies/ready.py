"""The bytes of a whole delivery, but for what only the delivery knows."""

from __future__ import annotations

from mockllm.wire.placeholders import UNIQUE_ID, FreshValues, fill_fresh

ONE_MILLISECOND = b"     1"
"""How long nearly every answer takes to decide: less than a millisecond."""


class ReadyBytes:
    """The bytes of a delivery, but for its stamps: `finish` is `fill_fresh` for bytes that are sent
    again and again.

    What changes once a second is stamped once a second, and the bytes are kept in pieces between
    the tokens: on a stream of 50 chunks that is 2 µs instead of 7.
    """

    __slots__ = ("_data", "_is_new", "_pieces", "_seconds")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_new = True
        self._seconds = b""
        self._pieces: list[bytes] = []

    def finish(self, fresh: FreshValues) -> bytes:
        """The bytes with their marks filled in."""
        if (
            self._is_new or fresh.elapsed_ms != ONE_MILLISECOND
        ):  # it may be the only time, or is a rare one
            self._is_new = False
            return fill_fresh(self._data, fresh)
        if fresh.seconds != self._seconds:
            self._seconds = fresh.seconds
            self._pieces = fill_fresh(self._data, fresh._replace(unique_id=UNIQUE_ID)).split(
                UNIQUE_ID
            )
        return fresh.unique_id.join(self._pieces)
