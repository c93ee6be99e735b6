"""The head of a request: what h11 makes of its bytes, once.

h11 is the only authority on HTTP grammar (RFC 9112). Asking it costs about 50 µs, more than all
else that a small request needs, so `Heads` remembers its verdicts: on whole heads, and on their
lines. What it recalls is what `parse` would say; a property test holds the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import h11

from mockllm.errors import HTTPError
from mockllm.exchange import Headers

END = b"\r\n\r\n"
MAX_CHUNK_LINE = 16 * 1024  # bytes of a chunk's size and extensions, or of its trailers


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and its headers.

    `first` has the first value of each header. `length` is the body's length in bytes, None for a
    chunked one. `keep_alive` tells whether the client takes another answer on this connection,
    `takes_chunks` whether it understands an answer in chunks.
    """

    method: str
    path: str
    query: str
    headers: Headers
    first: dict[bytes, bytes]
    length: int | None
    keep_alive: bool
    takes_chunks: bool
    expects_continue: bool


@dataclass(frozen=True, slots=True)
class RequestLine:
    """The first line of a head. `version` is ``b"1.1"``."""

    method: str
    path: str
    query: str
    version: bytes


def parse(data: bytes) -> tuple[Head, h11.Connection]:
    """The head that `data` is, from the request line to the empty line, and the h11 connection
    that read it, which goes on to read a chunked body.

    Raises:
        HTTPError: `data` is not a head by RFC 9112, with h11's status hint.
    """
    limit = max(len(data), MAX_CHUNK_LINE)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise HTTPError(exc.error_status_hint, f"Not a valid HTTP request: {exc}") from exc
    assert isinstance(event, h11.Request)
    headers = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    path, _, query = event.target.decode("ascii").partition("?")
    line = RequestLine(event.method.decode("ascii"), path, query, bytes(event.http_version))
    return _head(line, headers), connection


def _head(line: RequestLine, headers: Headers) -> Head:
    """What follows from a head that h11 accepts, whichever way its parts were read."""
    first = dict(reversed(headers))
    modern = line.version >= b"1.1"
    chunked = b"transfer-encoding" in first  # RFC 9112, section 6.3; h11 knows no other coding
    return Head(
        method=line.method,
        path=line.path,
        query=line.query,
        headers=headers,
        first=first,
        length=None if chunked else int(first.get(b"content-length", 0)),
        keep_alive=modern and b"close" not in _tokens(headers, first, b"connection"),
        takes_chunks=modern,
        expects_continue=modern and b"100-continue" in _tokens(headers, first, b"expect"),
    )


def _tokens(headers: Headers, first: dict[bytes, bytes], name: bytes) -> set[bytes]:
    """The members of a list that all headers of a name make up (RFC 9110, section 5.6.1)."""
    if name not in first:
        return set()
    values = (value for each, value in headers if each == name)
    return {token.strip().lower() for value in values for token in value.split(b",")}


# --- Remembering ---------------------------------------------------------------------------------

MOST_HEADS = 4_096  # whole heads remembered
MOST_LINES = 8_192  # header lines remembered
LONGEST_REMEMBERED = 4 * 1024  # bytes of a head; with MOST_HEADS it bounds the memory to 16 MiB

UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})
"""Headers that make framing or the connection special: a head with one always goes through h11."""

_PLAIN_VALUE = re.compile(rb"[!-~](?:[\t -~]*[!-~])?|")
_PLAIN_LENGTH = re.compile(rb"[0-9]{1,15}")


class Heads:
    """What h11 made of heads seen before: `recall` before `parse`, `remember` after it.

    Three ways from bytes to a head, each with its cost on a head of 13 lines: the same bytes as
    before (0.5 µs); known lines, or lines of a known name with a value in plain ASCII, as of a new
    request id (6 µs); h11 (50 µs and more). A table that is full is emptied: what is in use comes
    back with its next request, and a client that never repeats himself gains nothing.
    """

    def __init__(self, most_headers: int = 100) -> None:
        self._most_headers = most_headers
        self._whole: dict[bytes, Head] = {}
        self._seen: set[int] = set()  # hashes of heads that were recalled line by line, once
        self._request_lines: dict[bytes, RequestLine] = {}
        self._lines: dict[bytes, tuple[bytes, bytes]] = {}
        self._names: dict[bytes, bytes] = {}  # as a client spells it: in lower case

    def recall_whole(self, data: bytes) -> Head | None:
        """The head that `data` is, if these very bytes came before."""
        return self._whole.get(data)

    def recall(self, data: bytes) -> Head | None:
        """The head that `data` is, up to and with the empty line; None if h11 must tell."""
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
            len(data) > LONGEST_REMEMBERED
            or not data.endswith(END)
            or b"\n" in b"".join(lines)
            or len(lines) != len(head.headers) + 1
            or not _is_usual(head.headers, head.first)
            or not head.takes_chunks
        ):
            return
        _make_room(self._request_lines, MOST_HEADS)
        _make_room(self._lines, MOST_LINES)
        _make_room(self._names, MOST_LINES)
        line = RequestLine(head.method, head.path, head.query, b"1.1")
        self._request_lines[lines[0]] = line
        for raw, (name, value) in zip(lines[1:], head.headers, strict=True):
            self._lines[raw] = (name, value)
            self._names[raw.partition(b":")[0]] = name
        self._keep(data, head)

    def _by_lines(self, data: bytes) -> Head | None:
        first, *lines = data[: -len(END)].split(b"\r\n")
        request_line = self._request_lines.get(first)
        if request_line is None:
            return None
        headers = []
        for line in lines:
            header = self._lines.get(line) or self._of_known_name(line)
            if header is None:
                return None
            headers.append(header)
        head = _head(request_line, tuple(headers))
        return head if _is_usual(head.headers, head.first) else None

    def _of_known_name(self, line: bytes) -> tuple[bytes, bytes] | None:
        """The header that `line` is, if h11 has taken its name before and its value needs no
        second look."""
        spelling, _, value = line.partition(b":")
        name = self._names.get(spelling)
        value = value.strip(b" \t")
        plain = _PLAIN_LENGTH if name == b"content-length" else _PLAIN_VALUE
        return (name, value) if name is not None and plain.fullmatch(value) else None

    def _keep_if_seen(self, data: bytes, head: Head) -> None:
        """Keep a whole head when it comes for the second time."""
        mark = hash(data)
        if mark in self._seen:
            self._keep(data, head)
        else:
            if len(self._seen) >= MOST_HEADS:
                self._seen.clear()
            self._seen.add(mark)

    def _keep(self, data: bytes, head: Head) -> None:
        if len(data) <= LONGEST_REMEMBERED:
            _make_room(self._whole, MOST_HEADS)
            self._whole[data] = head


def _is_usual(headers: Headers, first: dict[bytes, bytes]) -> bool:
    """Whether each header comes once, there is a host, and framing is plain."""
    return len(first) == len(headers) and b"host" in first and UNUSUAL.isdisjoint(first)


def _make_room(table: dict[bytes, Any], most: int) -> None:
    if len(table) >= most:
        table.clear()
