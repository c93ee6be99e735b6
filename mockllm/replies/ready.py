"""The complete bytes of a reply, except for the values unique to each delivery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from mockllm.replies.headers import HeaderLines, replace_lines
from mockllm.wire.placeholders import UNIQUE_ID, FreshValues, fill_fresh

ONE_MILLISECOND = b"1"
"""The `elapsed_ms` of nearly every answer, rounded up."""


class ReadyBytes:
    """The bytes of a reply, head and body. `finish` returns the same as `fill_fresh`, faster: 2 µs
    instead of 7 for a stream of 50 chunks.

    Times are filled in once a second, and the bytes in between are cut at the unique ids, so that
    a delivery costs one join.
    """

    __slots__ = ("_is_new", "_lined", "_make", "_pieces", "_seconds")
    _pieces: list[bytes]
    _seconds: bytes

    def __init__(self, make: Callable[[FreshValues], bytes]) -> None:
        """`make` returns the bytes with the values of a delivery filled in, however slowly."""
        self._make = make
        self._is_new = True
        self._lined: _LinedBytes | None = None

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
        unique_id, seconds, _, elapsed_ms = fresh
        if elapsed_ms != ONE_MILLISECOND:
            return self._make(fresh)
        if seconds != self._seconds:
            self._seconds = seconds
            self._pieces = self._make(fresh._replace(unique_id=UNIQUE_ID)).split(UNIQUE_ID)
        return unique_id.join(self._pieces)

    def with_lines(self, lines: HeaderLines, values: Sequence[bytes]) -> ReadyBytes:
        """Return the bytes with these values in the header `lines`, for one delivery: those of
        `HeaderLines.replace`."""
        lined = self._lined
        if lined is None or lined.lines is not lines:
            lined = self._lined = _LinedBytes(self, lines)
        return _FilledBytes(lined, tuple(values))


class _LinedBytes:
    """Ready bytes whose header lines have other values in each delivery: 1 µs instead of 3 if these
    were searched for."""

    __slots__ = ("_body", "_head", "_is_new", "_numbers", "_seconds", "_shared", "lines")
    _head: list[bytes]
    _numbers: list[int]
    _body: list[bytes]

    def __init__(self, shared: ReadyBytes, lines: HeaderLines) -> None:
        self.lines = lines
        self._shared = shared
        self._is_new = True
        self._seconds = b""

    def finish(self, fresh: FreshValues, values: tuple[bytes, ...]) -> bytes:
        """Return the bytes of one delivery, with these values of its lines."""
        # as in `ReadyBytes.finish`
        if self._is_new or fresh.elapsed_ms != ONE_MILLISECOND:
            self._is_new = False
            return replace_lines(self._shared.finish(fresh), self.lines.replaced_by(values))
        if fresh.seconds != self._seconds:
            self._cut(fresh)
        head = fresh.unique_id.join(self._head) % tuple([values[each] for each in self._numbers])
        return head + fresh.unique_id.join(self._body)

    def _cut(self, fresh: FreshValues) -> None:
        """Cut head and body at the unique ids. The values are left to be filled in the head."""
        data = self._shared.finish(fresh._replace(unique_id=UNIQUE_ID))
        end = data.index(b"\r\n\r\n")
        numbers = {b"%b: %b" % line: number for number, line in enumerate(self.lines.lines)}
        self._numbers = []
        written: list[bytes] = []
        for line in data[:end].split(b"\r\n"):
            number = numbers.get(line)
            if number is None:
                written.append(line.replace(b"%", b"%%"))
            else:
                self._numbers.append(number)
                written.append(b"%b: %%b" % self.lines.lines[number][0])
        self._seconds = fresh.seconds
        self._head = b"\r\n".join(written).split(UNIQUE_ID)
        self._body = data[end:].split(UNIQUE_ID)


class _FilledBytes(ReadyBytes):
    """Ready bytes with the values of the header lines of one delivery."""

    __slots__ = ("_shared", "_values")

    def __init__(self, shared: _LinedBytes, values: tuple[bytes, ...]) -> None:
        self._shared = shared
        self._values = values

    def finish(self, fresh: FreshValues) -> bytes:
        """Return the bytes of one delivery, with its values filled in."""
        return self._shared.finish(fresh, self._values)
