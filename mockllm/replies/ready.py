"""The complete bytes of a reply, except for the values unique to each delivery."""

from __future__ import annotations

from mockllm.wire.placeholders import UNIQUE_ID, FreshValues, fill_fresh

ONE_MILLISECOND = b"1"
"""The `elapsed_ms` of nearly every answer, rounded up."""


class ReadyBytes:
    """The bytes of a reply, head and body. `finish` does the same as `fill_fresh`, faster: 2 µs
    instead of 7 for a stream of 50 chunks.

    Times are filled in once a second, and the bytes in between are cut at the unique ids, so that
    a delivery costs one join.
    """

    __slots__ = ("_data", "_is_new", "_pieces", "_seconds")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_new = True
        self._seconds = b""
        self._pieces: list[bytes] = []

    def finish(self, fresh: FreshValues) -> bytes:
        """Return the bytes of one delivery, with its values filled in."""
        # cutting does not pay off for the first delivery, perhaps the only one, or a rare time
        if self._is_new or fresh.elapsed_ms != ONE_MILLISECOND:
            self._is_new = False
            return fill_fresh(self._data, fresh)
        if fresh.seconds != self._seconds:
            self._seconds = fresh.seconds
            self._pieces = fill_fresh(self._data, fresh._replace(unique_id=UNIQUE_ID)).split(
                UNIQUE_ID
            )
        return fresh.unique_id.join(self._pieces)
