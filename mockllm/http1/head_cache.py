"""Remembers what h11 made of heads seen before: of whole heads, and of their lines.

What `HeadCache` recalls is what `heads.parse` would say; a property test holds the two together.
"""

from __future__ import annotations

import re
from typing import TypeVar

from mockllm.exchange import Headers
from mockllm.http1.heads import END, Head, RequestLine, first_values, make_head, parse
from mockllm.limits import KIB, MIB, Limits

MAX_HEADS_SIZE = 16 * MIB  # bytes that whole heads may take
MAX_PARTS_SIZE = 4 * MIB  # bytes that lines may take, and names, and request lines
MAX_CACHED_HEAD = 16 * KIB  # bytes of a head: cookies and tokens are long
MAX_SEEN = 4_096  # heads that came once
PER_HEADER = 300  # bytes that a header costs beside its own, about
UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"content-encoding"})
"""Headers that make framing or the connection special: a head with one always goes through h11."""
FIXED = frozenset({b"host", b"connection"})
"""Headers whose meaning is read: only a line that h11 has taken as it stands is known."""
SINGLE = FIXED | {b"content-length"}
"""Headers that decide where a request ends or whose it is: a head that repeats one goes through
h11."""
_NAMELESS = b""  # no header has such a name
_UNKNOWN = (_NAMELESS, b"")
_PLAIN_VALUE = re.compile(rb"[!-~](?:[\t -~]*[!-~])?|")
_PLAIN_LENGTH = re.compile(rb"[0-9]{1,15}")


class HeadCache:
    """What h11 made of heads seen before.

    Three ways from bytes to a head, each with its cost on a head of 13 lines: the same bytes as
    before (0.5 µs); known lines, or lines of a known name with a value in plain ASCII, as of a new
    request id (5 µs); h11 (50 µs and more).
    """

    def __init__(self, limits: Limits | None = None, *, reuse: bool = True) -> None:
        self._limits = limits or Limits()
        self._reuse = reuse
        self._whole = _Table[Head](MAX_HEADS_SIZE)
        self._seen: set[int] = set()  # hashes of heads that were recalled line by line, once
        self._request_lines = _Table[RequestLine](MAX_PARTS_SIZE)
        self._lines = _Table[tuple[bytes, bytes]](MAX_PARTS_SIZE)
        self._names = _Table[bytes](MAX_PARTS_SIZE)  # as a client spells it: in lower case

    def read(self, data: bytes) -> Head:
        """The head that `data` is, up to and with the empty line.

        Raises:
            HTTPError: as `parse`.
        """
        head = self.recall(data)
        if head is None:
            head = parse(data, self._limits)
            self.remember(data, head)
        return head

    def recall(self, data: bytes) -> Head | None:
        """The head that `data` is, if what is remembered tells; None if h11 must."""
        head = self._whole.get(data)
        if head is None:
            head = self._by_lines(data)
            if head is not None:
                self._keep_if_seen(data, head)
        return head

    def remember(self, data: bytes, head: Head) -> None:
        """Keep what `parse` made of `data`, unless something about it is unusual."""
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
        self._request_lines.keep(lines[0], head.line)
        for raw, header in zip(lines[1:], head.headers, strict=True):
            self._lines.keep(raw, header)
            if header[0] not in FIXED:
                self._names.keep(raw.partition(b":")[0], header[0])
        self._keep(data, head)

    def _by_lines(self, data: bytes) -> Head | None:
        if not data.endswith(END):
            return None
        raw, *lines = data[: -len(END)].split(b"\r\n")
        request_line = self._request_lines.get(raw)
        if request_line is None:
            return None
        known, known_name = self._lines.get, self._of_known_name
        headers = tuple([known(line) or known_name(line) for line in lines])
        values = first_values(headers)
        if _NAMELESS in values or len(headers) > self._limits.headers:
            return None
        return make_head(request_line, headers, values) if _is_usual(headers, values) else None

    def _of_known_name(self, line: bytes) -> tuple[bytes, bytes]:
        """The header that `line` is, if h11 has taken its name before and its value needs no
        second look; else _UNKNOWN."""
        spelling, colon, value = line.partition(b":")
        name = self._names.get(spelling)
        if name is None or not colon:
            return _UNKNOWN
        value = value.strip(b" \t")
        plain = _PLAIN_LENGTH if name == b"content-length" else _PLAIN_VALUE
        return (name, value) if plain.fullmatch(value) else _UNKNOWN

    def _keep_if_seen(self, data: bytes, head: Head) -> None:
        """Keep a whole head when it comes for the second time."""
        mark = hash(data)
        if mark in self._seen:
            self._keep(data, head)
        else:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen.add(mark)

    def _keep(self, data: bytes, head: Head) -> None:
        if len(data) <= MAX_CACHED_HEAD:
            self._whole.keep(data, head, beside=PER_HEADER * len(head.headers))


Value = TypeVar("Value")


class _Table(dict[bytes, Value]):
    """A dictionary that takes at most about `most` bytes. One that is full is emptied: what is in
    use comes back with its next request, and a client that never repeats himself gains nothing."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.size = 0

    def keep(self, key: bytes, value: Value, *, beside: int = PER_HEADER) -> None:
        """Add an entry that costs its key twice (it is a part of the value, too) and so many bytes
        `beside`."""
        if key in self:
            return
        size = 2 * len(key) + beside
        if self.size + size > self.most:
            self.clear()
            self.size = 0
        self[key] = value
        self.size += size


def _is_usual(headers: Headers, values: dict[bytes, bytes]) -> bool:
    """Whether there is one host, and framing is plain."""
    if b"host" not in values or not UNUSUAL.isdisjoint(values):
        return False
    return len(values) == len(headers) or not _repeats_a_single(headers)


def _repeats_a_single(headers: Headers) -> bool:
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) > len(set(names))
