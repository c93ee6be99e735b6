"""Encodes large JSON values in pieces, so that others need not wait until all of one is encoded.

`jsontext.dumps` and `jsontext.canonical` are the specification: the pieces are the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from typing import Any

from mockllm.limits import KIB
from mockllm.wire.jsontext import canonical, dumps

MAX_TEXT = 64 * KIB  # characters of a text that is encoded at once
_PIECE_OF_TEXT = 32 * KIB  # characters of a larger one that are
_PER_VALUE = 64  # characters that are encoded in the time of another value
_SORTED_AT_ONCE = 2_000  # names of an object: 1 ms
_MAX_WEIGHT = 256 * KIB  # characters that are encoded at once: 0.5 ms, and 1 ms to count them


def takes_long(value: Any) -> bool:
    """True if a JSON value takes long to encode: it has a large text, or many values."""
    return _weight(value) > _MAX_WEIGHT


def dumps_in_pieces(value: Any) -> Iterator[bytes]:
    """Yield what `dumps` returns, in pieces that take little time each."""
    return _encode_in_pieces(value, dumps, _entries)


def canonical_in_pieces(value: Any) -> Iterator[bytes]:
    """Yield what `canonical` returns, in pieces that take little time each, some of them empty."""
    return _encode_in_pieces(value, canonical, _sorted_entries)


def _encode_in_pieces(
    value: Any,
    encode: Callable[[Any], bytes],
    entries_of: Callable[[Any], Iterator[tuple[str, Any] | None]],
) -> Iterator[bytes]:
    if not takes_long(value):
        yield encode(value)
        return
    within: list[_Container] = []
    large = value
    while True:
        if isinstance(large, str):
            yield b'"'
            for start in range(0, len(large), _PIECE_OF_TEXT):
                yield encode(large[start : start + _PIECE_OF_TEXT])[1:-1]
            yield b'"'
        elif large is not None:
            within.append(_Container(large, encode, entries_of(large)))
        if not within:
            return
        piece, large, is_over = within[-1].take()
        yield piece
        if is_over:
            within.pop()


class _Container:
    """A list or an object that takes long to encode, and is encoded a few entries at a time."""

    def __init__(
        self,
        container: Any,
        encode: Callable[[Any], bytes],
        entries: Iterator[tuple[str, Any] | None],
    ) -> None:
        self._is_object = isinstance(container, dict)
        self._before, self._end = (b"{", b"}") if self._is_object else (b"[", b"]")
        """What comes before the next entry, and behind the last."""
        self._encode = encode
        self._rest = entries

    def take(self) -> tuple[bytes, Any, bool]:
        """Return the next entries, encoded; the one behind them if that takes long, whose name they
        end with, else None; and whether there are no more."""
        names: list[str] = []
        small: list[Any] = []
        weight = 0
        for each in self._rest:
            if each is None:
                return b"", None, False
            name, entry = each
            added = _weight(entry)
            if added > _MAX_WEIGHT:
                written = self._write(names, small) + self._separator()
                key = self._encode(name) + b":" if self._is_object else b""
                return written + key, entry, False
            names.append(name)
            small.append(entry)
            weight += added + len(name) + _PER_VALUE
            if weight > _MAX_WEIGHT:
                return self._write(names, small), None, False
        return self._write(names, small) + self._end, None, True

    def _write(self, names: list[str], entries: list[Any]) -> bytes:
        if not entries:
            return b""
        together = dict(zip(names, entries, strict=True)) if self._is_object else entries
        return self._separator() + self._encode(together)[1:-1]

    def _separator(self) -> bytes:
        before, self._before = self._before, b","
        return before


def _entries(container: Any) -> Iterator[tuple[str, Any] | None]:
    """Return the entries of a list or an object, with their names; those of a list have none."""
    if isinstance(container, dict):
        return iter(container.items())
    return (("", entry) for entry in container)


def _sorted_entries(container: Any) -> Iterator[tuple[str, Any] | None]:
    """Yield the entries as `_entries` does, in the order of their names, and None for a pause."""
    if not isinstance(container, dict):
        yield from _entries(container)
        return
    names, in_order = list(container), list[list[str]]()
    for start in range(0, len(names), _SORTED_AT_ONCE):
        in_order.append(sorted(names[start : start + _SORTED_AT_ONCE]))
        yield None
    for name in merge(*in_order):
        yield name, container[name]


def _weight(value: Any) -> int:
    """Return how much there is to encode in a JSON value, about in characters; if it is more than
    `_MAX_WEIGHT`, only that."""
    weight = 0
    todo = [value]
    while todo and weight <= _MAX_WEIGHT:
        entry = todo.pop()
        if isinstance(entry, str):
            weight += len(entry) if len(entry) <= MAX_TEXT else _MAX_WEIGHT + 1
        elif isinstance(entry, dict):
            weight += _PER_VALUE * len(entry) + sum(map(len, entry))
            if weight <= _MAX_WEIGHT:
                todo += entry.values()
        elif isinstance(entry, (list, tuple)):
            weight += _PER_VALUE * len(entry)
            if weight <= _MAX_WEIGHT:
                todo += entry
    return weight
