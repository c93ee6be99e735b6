"""Small values with a lifetime, such as the number of turns behind a stored response."""

from __future__ import annotations

from mockllm.state.maps import LocalMaps, Maps, OrderedMap

MAX_VALUE = 64 * 1024  # bytes of one value
MAX_VALUES = 10_000
MAX_BYTES = 16 * 1024 * 1024
PER_VALUE = 300  # bytes; about what a value costs beside its key and itself


_SIZE = "bytes of values"


class ExpiringValues:
    """Values by key, bounded by number and bytes: the one put longest ago goes first."""

    def __init__(self, maps: Maps | None = None) -> None:
        maps = maps or LocalMaps()
        self._stored: OrderedMap[str, tuple[bytes, float]] = maps.ordered("values")  # until when
        self._facts = maps.facts

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def size(self) -> int:
        """About how many bytes all values take."""
        size: int = self._facts.get(_SIZE, 0)
        return size

    def put(self, key: str, value: bytes, until: float) -> None:
        """Store `value`, in place of an earlier one, for readings before the time `until`. A value
        above `MAX_VALUE` is not stored, and the earlier one is removed."""
        self._remove(key)
        if len(value) > MAX_VALUE:
            return
        self._stored.put_last(key, (value, until))
        self._grow(size_of(key, value))
        while len(self._stored) > MAX_VALUES or self.size > MAX_BYTES:
            oldest = self._stored.first()
            if oldest is None:
                break
            self._remove(oldest[0])

    def get(self, key: str, now: float) -> bytes | None:
        """Return the value of `key` at the time `now`, or None."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        value, until = stored
        if now >= until:
            self._remove(key)
            return None
        return value

    def _remove(self, key: str) -> None:
        removed = self._stored.get(key)
        if removed is not None:
            self._stored.drop(key)
            self._grow(-size_of(key, removed[0]))

    def _grow(self, by: int) -> None:
        self._facts[_SIZE] = self.size + by


def size_of(key: str, value: bytes) -> int:
    """Return about how many bytes a value takes."""
    return PER_VALUE + len(key) + len(value)
