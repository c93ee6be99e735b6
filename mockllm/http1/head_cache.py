"""Caches parsed heads: whole ones, and their single lines.

Theory of operation
===================

In: bytes that begin with a head. Out: exactly the `Head` that `heads.parse` would return, or None,
in which case h11 has to parse it. A property test compares the two.

Clients repeat themselves. Most of them send the same head with every request; many change one
value, such as a request id. There are three ways from bytes to a head; the costs are those of a
head of 13 lines:

1. The whole head is cached: one dictionary look-up (0.9 µs), or none, if it is the latest one that
   was found so (0.2 µs): then its end is known, which takes as long to find as all the rest.
2. Each line is cached, or its name is and its value is plain visible ASCII, which h11 accepts for
   any header. The head is put together from these (5 µs). If it begins and ends with the same lines
   as two heads before it, only the lines in between are looked up (`Shape`, 2 µs).
3. Otherwise h11 parses it (50 µs and more), and its lines are cached.

This is right because h11 judges a header line on its own, except where headers together decide on
the framing. Heads with such headers (`UNUSUAL`, or a `SINGLE` one repeated) always go to h11.
Whatever a value means for the framing is derived by `heads.make_head`, as for a new head.

Example: a client sends ``GET / HTTP/1.1``, ``Host: localhost``, ``X-Request-Id: a1``.

- First time: h11 parses it. The request line, both header lines, the name ``X-Request-Id`` and the
  whole head are cached. ``Host`` is not cached as a name: its value must be judged by h11.
- Second time: found whole.
- With ``X-Request-Id: b2``: put together from two cached lines and a cached name. It is cached
  whole only if it comes again, so ids that never repeat cost no memory.
- With ``X-Request-Id: c3``: both heads before it begin with the first two lines, so that only the
  last one is looked up.
- With ``Host: example.org``: an unknown line of a name that is not cached, so h11 parses it.
"""

from __future__ import annotations

import re
from itertools import count
from typing import NamedTuple

from mockllm.bounded_cache import BoundedCache, Patience
from mockllm.exchange import HeaderParts, Headers
from mockllm.http1.heads import END, Head, RequestLine, first_values, make_head, parse
from mockllm.limits import KIB, MIB, Limits

MAX_HEADS_SIZE = 16 * MIB  # bytes of all whole heads
MAX_PARTS_SIZE = 4 * MIB  # bytes of all lines, and of all names, and of all request lines
MAX_CACHED_HEAD = 16 * KIB  # bytes of a head: cookies and tokens are long
MAX_SEEN = 4_096  # hashes of heads that came once
MAX_SHAPES = 4  # kept at once: of different clients and gateways
HEADS_PER_SHAPE = 64  # that are put together before another shape is kept
PER_HEADER = 300  # bytes of overhead per header, roughly
UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"content-encoding"})
"""Headers with an effect on the framing or the connection: their heads always go to h11."""
FIXED = frozenset({b"host", b"connection"})
"""Headers whose value has a grammar of its own: only lines that h11 has accepted are reused."""
SINGLE = FIXED | {b"content-length"}
"""Headers that must not be repeated: a head that repeats one goes to h11."""
Framing = tuple[bool, bytes | None, bytes | None]
"""Whether it is HTTP/1.1, the host, and the options of the connection."""
_new = tuple.__new__  # half the time of the class's own constructor
_NAMELESS = b""  # no header has such a name
_UNKNOWN = (_NAMELESS, b"")
_VALUE = re.compile(rb"[!-~]*+(?:[\t ]++[!-~]++)*+")
_LENGTH = re.compile(rb"[0-9]{1,15}")


class Shape(NamedTuple):
    """What heads have in common that differ in the values of some lines in one place: the request
    line, the bytes around this place, and the names of the headers in it, whose values `between`
    finds. `headers_before` and `headers_after` are around it, `values` those of all of them. The
    `length` is that of the body; if it is one of the values that differ, the one at `length_at`."""

    number: int
    line: RequestLine
    before: bytes
    after: bytes
    names: tuple[bytes, ...]
    between: re.Pattern[bytes]
    headers_before: Headers
    headers_after: Headers
    values: dict[bytes, bytes]
    length: int
    length_at: int | None
    keep_alive: bool


class Shaped(NamedTuple):
    """A head of a shape: its values that differ from those of others, and its size in bytes."""

    shape: Shape
    values: tuple[bytes, ...]
    size: int


class _Lines(NamedTuple):
    """The request line and the other lines of a head that was put together."""

    first: bytes
    others: list[bytes]


class HeadCache(Patience):
    """Parsed heads, shared by all connections of a server. Without `reuse` nothing is cached."""

    def __init__(self, limits: Limits | None = None, *, reuse: bool = True) -> None:
        super().__init__()
        self._limits = limits or Limits()
        self._reuse = reuse
        self._whole = BoundedCache[bytes, Head](MAX_HEADS_SIZE, max_seen=MAX_SEEN)
        self._request_lines = BoundedCache[bytes, RequestLine](MAX_PARTS_SIZE)
        self._lines = BoundedCache[bytes, tuple[bytes, bytes]](MAX_PARTS_SIZE)
        self._framings = BoundedCache[Framing, bool](MAX_PARTS_SIZE)
        self._names = BoundedCache[bytes, bytes](MAX_PARTS_SIZE)  # a client's spelling: lower case
        self._shapes: list[Shape] = []  # the latest first
        self._numbers = count()  # of shapes
        self._latest = b""  # the head that was found whole
        self._latest_head: Head | None = None  # the same
        self._last: _Lines | None = None  # that was put together
        self._until_shape = 0  # heads that are put together before the next one is kept

    def read(self, data: bytes) -> Head:
        """Parse a head up to and including the empty line, from the cache if possible.

        Raises:
            HTTPError: see `parse`.
        """
        head = self.recall(data)
        if head is None:
            head = parse(data, self._limits)
            self.remember(data, head)
        return head

    def recall(self, data: bytes) -> Head | None:
        """Look up the head that `data` begins with, whole or line by line; None if h11 has to parse
        it, or it is incomplete or too large."""
        if self.rest:
            self.rest -= 1
            return self._by_shape(data) or self._by_lines(data)
        if self._latest_head is not None and data.startswith(self._latest):
            self._in_vain = 0
            return self._latest_head
        size = data.find(END) + len(END)
        if not len(END) <= size <= self._limits.head:
            return None
        whole = data[:size]
        head = self._whole.get(whole)
        if head is not None:
            self._in_vain = 0
            self._latest, self._latest_head = whole, head
            return head
        self.note_in_vain()
        head = self._by_shape(data) or self._by_lines(data)
        if head is not None:
            self._offer(whole, head)
        return head

    def remember(self, data: bytes, head: Head) -> None:
        """Cache the result of `parse`, unless the head is an unusual one."""
        lines = data.removesuffix(END).split(b"\r\n")
        if (
            not self._reuse
            or len(data) > MAX_CACHED_HEAD
            or not data.endswith(END)
            or b"\n" in b"".join(lines)
            or len(lines) != len(head.headers) + 1
            or not _is_usual(head.headers, head.first_values)
        ):
            return
        self._request_lines.add(lines[0], head.line, _size(lines[0]))
        for raw, header in zip(lines[1:], head.headers, strict=True):
            self._lines.add(raw, header, _size(raw))
            if header[0] not in FIXED:
                name = raw.partition(b":")[0]
                self._names.add(name, header[0], _size(name))
        self._whole.add(data, head, _size(data, len(head.headers)))

    def _offer(self, data: bytes, head: Head) -> None:
        """Cache a whole head when it is received for the second time."""
        if len(data) <= MAX_CACHED_HEAD:
            self._whole.offer(data, head, lambda: _size(data, len(head.headers)))

    def shape_of(self, data: bytes) -> Shaped | None:
        """Find the shape of the head that `data` begins with; None if it has none yet, or it is too
        large."""
        for shape in self._shapes:
            before = shape.before
            if not data.startswith(before):
                continue
            found = shape.between.match(data, len(before))
            if found is not None and data.startswith(after := shape.after, end := found.end()):
                size = end + len(after)
                if size > self._limits.head:
                    return None
                return _new(Shaped, (shape, found.groups(), size))
        return None

    def _by_shape(self, data: bytes) -> Head | None:
        shaped = self.shape_of(data)
        if shaped is None:
            return None
        shape, own, size = shaped
        number, line, _, _, names, _, first, last, around, length, length_at, keep_alive = shape
        values = around.copy()
        for name, value in zip(names, own):  # noqa: B905  # `strict` costs 0.2 µs
            values[name] = value
        if length_at is not None:
            length = int(own[length_at])
        lines = _new(HeaderParts, (number, first, names, own, last))
        return _new(Head, (line, lines, values, size, length, (), keep_alive, False))

    def _note_shape(self, lines: _Lines, head: Head) -> None:
        """Keep what a head that was put together has in common with the last one, if that is most
        of it. This is rarely done, because it takes long (0.2 ms)."""
        last, self._last = self._last, lines
        self._until_shape -= 1
        if self._until_shape > 0 or last is None or last.first != lines.first:
            return
        shape = self._make_shape(last, lines, head)
        if shape is not None:
            self._until_shape = HEADS_PER_SHAPE
            self._shapes = [shape, *self._shapes[: MAX_SHAPES - 1]]

    def _make_shape(self, last: _Lines, lines: _Lines, head: Head) -> Shape | None:
        first, others = lines
        size = len(others)
        if len(last.others) != size or len(head.first_values) != size:  # a name occurs twice
            return None
        differing = [at for at in range(size) if others[at] != last.others[at]]
        if not differing or 2 * len(differing) > size:
            return None
        start, end = differing[0], differing[-1] + 1
        spellings = [line.partition(b":")[0] for line in others[start:end]]
        names = tuple([name for name, _ in head.headers[start:end]])
        if any(self._names.get(each) is None for each in spellings):
            return None
        values = [_LENGTH if name == b"content-length" else _VALUE for name in names]
        patterns = [
            rb"%b:[ \t]*+(%b)[ \t]*+" % (re.escape(spelling), value.pattern)
            for spelling, value in zip(spellings, values, strict=True)
        ]
        around = head.headers[:start] + head.headers[end:]
        return Shape(
            next(self._numbers),
            head.line,
            b"".join(line + b"\r\n" for line in (first, *others[:start])),
            b"".join(b"\r\n" + line for line in others[end:]) + END,
            names,
            re.compile(rb"\r\n".join(patterns)),
            head.headers[:start],
            head.headers[end:],
            dict(around),
            head.length or 0,
            names.index(b"content-length") if b"content-length" in names else None,
            head.keep_alive,
        )

    def _by_lines(self, data: bytes) -> Head | None:
        end = data.find(END)
        size = end + len(END)
        if end < 0 or size > self._limits.head:
            return None
        raw, *lines = data[:end].split(b"\r\n")
        request_line = self._request_lines.get(raw)
        if request_line is None:
            return None
        known, known_name = self._lines.get, self._of_known_name
        headers = tuple([known(line) or known_name(line) for line in lines])
        values = first_values(headers)
        if _NAMELESS in values or len(headers) > self._limits.headers:
            return None
        if not _is_usual(headers, values):
            return None
        head = self._framed(request_line, headers, values, size)
        if size <= MAX_CACHED_HEAD:
            self._note_shape(_Lines(raw, lines), head)
        return head

    def _framed(
        self, line: RequestLine, headers: Headers, values: dict[bytes, bytes], size: int
    ) -> Head:
        """Return what `make_head` does, for a usual head: without the length of the body, its
        framing depends on the version, the host and the connection alone, which are nearly always
        the same (0.5 µs instead of 2)."""
        framing = (line.is_http11, values.get(b"host"), values.get(b"connection"))
        keep_alive = self._framings.get(framing)
        if keep_alive is None:
            head = make_head(line, headers, values, size)
            self._framings.add(framing, head.keep_alive, _size(b"".join(filter(None, framing[1:]))))
            return head
        length = values.get(b"content-length")
        of_body = int(length) if length else 0
        return _new(Head, (line, headers, values, size, of_body, (), keep_alive, False))

    def _of_known_name(self, line: bytes) -> tuple[bytes, bytes]:
        """The header in `line` if its name is cached and its value is plain; else _UNKNOWN."""
        spelling, colon, value = line.partition(b":")
        name = self._names.get(spelling)
        if name is None or not colon:
            return _UNKNOWN
        value = value.strip(b" \t")
        plain = _LENGTH if name == b"content-length" else _VALUE
        return (name, value) if plain.fullmatch(value) else _UNKNOWN


def _size(key: bytes, headers: int = 1) -> int:
    """The bytes that an entry takes: its key twice, because the value repeats it, and overhead."""
    return 2 * len(key) + PER_HEADER * headers


def _is_usual(headers: Headers, values: dict[bytes, bytes]) -> bool:
    """True if there is one Host and no header with an unusual effect on the framing."""
    if b"host" not in values or not values.keys().isdisjoint(UNUSUAL):
        return False
    return len(values) == len(headers) or not _repeats_a_single(headers)


def _repeats_a_single(headers: Headers) -> bool:
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) > len(set(names))
