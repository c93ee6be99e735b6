"""Small values with a lifetime, such as the number of turns behind a stored response."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MAX_VALUE = 64 * 1024  # bytes of one value
MAX_VALUES = 10_000
MAX_BYTES = 16 * 1024 * 1024
PER_VALUE = 300  # bytes; about what a value costs beside its key and itself


class _Stored(NamedTuple):
    value: bytes
    until: float


class ExpiringValues:
    """Values by key, bounded by number and bytes: the one put longest ago goes first."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, _Stored] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._stored)

    def put(self, key: str, value: bytes, until: float) -> None:
        """Store `value`, in place of an earlier one, for readings before the time `until`. A value
        above `MAX_VALUE` is not stored, and the earlier one is removed."""
        self._remove(key)
        if len(value) > MAX_VALUE:
            return
        self._stored[key] = _Stored(value, until)
        self._bytes += size_of(key, value)
        while len(self._stored) > MAX_VALUES or self._bytes > MAX_BYTES:
            self._remove(next(iter(self._stored)))

    def get(self, key: str, now: float) -> bytes | None:
        """Return the value of `key` at the time `now`, or None."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        if now >= stored.until:
            self._remove(key)
            return None
        return stored.value

    def _remove(self, key: str) -> None:
        removed = self._stored.pop(key, None)
        if removed is not None:
            self._bytes -= size_of(key, removed.value)


def size_of(key: str, value: bytes) -> int:
    """Return about how many bytes a value takes."""
    return PER_VALUE + len(key) + len(value)
