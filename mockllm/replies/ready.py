"""The bytes of a whole delivery, but for what only the delivery knows."""

from __future__ import annotations

from mockllm.wire.placeholders import TOKEN, Stamps, stamp

AT_ONCE = b"     1"
"""How long nearly every answer takes to decide: less than a millisecond."""


class Ready:
    """The bytes of a delivery, but for its stamps: `stamped` is `stamp` for bytes that are sent
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

    def stamped(self, stamps: Stamps) -> bytes:
        """The bytes with their marks filled in."""
        if self._is_new or stamps.took != AT_ONCE:  # it may be the only time, or is a rare one
            self._is_new = False
            return stamp(self._data, stamps)
        if stamps.seconds != self._seconds:
            self._seconds = stamps.seconds
            self._pieces = stamp(self._data, stamps._replace(token=TOKEN)).split(TOKEN)
        return stamps.token.join(self._pieces)
