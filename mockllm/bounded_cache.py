"""A cache that is bounded by bytes and admits an entry when its key comes for the second time, and
when it is worth a look."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


PATIENCE = 1_000  # look-ups in vain, one after the other
RARELY = 16


class Patience:
    """Tells a user of caches when to leave out looking something up, and keeping it.

    Where nothing comes twice, that takes 1 µs of a small request, for nothing: hashes, and memory
    that is in no cache of the processor. So after `PATIENCE` look-ups in vain, only one of `RARELY`
    is made, until one finds something.
    """

    def __init__(self) -> None:
        self.rest = 0
        """The number of look-ups to leave out: whoever leaves one out counts it down."""
        self._in_vain = 0  # look-ups since the last one that has found something

    def note_in_vain(self) -> None:
        """Note that a look-up has found nothing."""
        self._in_vain += 1
        if self._in_vain >= PATIENCE:
            self.rest = RARELY - 1


class BoundedCache(Generic[Key, Value]):
    """Entries of at most `max_bytes` in all. A full cache is emptied: entries in use come back
    with their next request, and one needs no more memory than a dictionary's.

    `offer` admits an entry the second time it is offered, so keys that never repeat cost no memory
    but a hash each, of which there are at most `max_seen`. `add` admits an entry at once. `get` is
    a dictionary's own method: a look-up costs what it costs there (30 ns).
    """

    def __init__(self, max_bytes: int, *, max_seen: int = 0) -> None:
        self._entries: dict[Key, Value] = {}
        self.get: Callable[[Key], Value | None] = self._entries.get
        self._max_bytes = max_bytes
        self._bytes = 0
        self._max_seen = max_seen
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def add(self, key: Key, value: Value, size: int) -> None:
        """Admit an entry of `size` bytes, unless its key is there or it is too large."""
        if key in self._entries or size > self._max_bytes:
            return
        if self._bytes + size > self._max_bytes:
            self._entries.clear()
            self._bytes = 0
        self._entries[key] = value
        self._bytes += size

    def offer(self, key: Key, value: Value, size: Callable[[], int]) -> None:
        """Admit an entry if its key was offered before. `size` is called only then."""
        if not self.is_new(key):
            self.add(key, value, size())

    def is_new(self, key: Key) -> bool:
        """Return True if `key` was not offered before; it was from now on."""
        hashed = hash(key)
        if hashed in self._seen:
            return False
        if len(self._seen) >= self._max_seen:
            self._seen.clear()
        self._seen.add(hashed)
        return True
