"""The head of a request: what h11 makes of its bytes, once.

h11 is the authority on HTTP grammar (RFC 9112). Asking it costs about 50 µs, more than all else
that a small request needs, so `Heads` remembers its verdicts: on whole heads, and on their lines.
What it recalls is what `parse` would say; a property test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

import h11

from mockllm import targets
from mockllm.errors import ForeignProtocolError, HTTPError
from mockllm.exchange import Headers
from mockllm.limits import KIB, MIB, Limits

END = b"\r\n\r\n"


class RequestLine(NamedTuple):
    """The first line of a head, its target resolved."""

    method: str
    path: str
    query: str
    is_modern: bool
    """Whether the client speaks HTTP/1.1 or a later minor version."""


class Head(NamedTuple):
    """A request line and its headers. (A tuple, since one is made for many a request.)

    `first` has the first value of each header. `length` is the body's length in bytes, None for a
    chunked one, `coding` its Content-Encoding: ``gzip`` or nothing. `keep_alive` tells whether the
    client takes another answer on this connection.
    """

    line: RequestLine
    headers: Headers
    first: dict[bytes, bytes]
    length: int | None
    coding: bytes
    keep_alive: bool
    expects_continue: bool


def parse(data: bytes, limits: Limits) -> Head:
    """The head that `data` is, from the request line to the empty line.

    Raises:
        HTTPError: `data` is not a head by RFC 9112 (with h11's status hint), or it wants what this
            server refuses: see `_head`.
        ForeignProtocolError: it is HTTP/2.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(data) + 1)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise malformed(exc) from exc
    assert isinstance(event, h11.Request)
    method, target = event.method.decode("ascii"), event.target.decode("latin-1")
    version = bytes(event.http_version)
    if version == b"2.0" and method == "PRI":
        raise ForeignProtocolError
    if not version.startswith(b"1."):
        raise HTTPError(505, f"HTTP/{version.decode()} is not spoken here, HTTP/1.1 is")
    headers = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    if len(headers) > limits.headers:
        raise HTTPError(431, f"There are more than {limits.headers} headers")
    line = RequestLine(method, *targets.resolve(method, target), version != b"1.0")
    return _head(line, headers, _first_values(headers))


def malformed(error: h11.RemoteProtocolError) -> HTTPError:
    """What h11 found, without what it quotes: the bytes may hold a credential."""
    what = str(error).partition(":")[0]
    return HTTPError(error.error_status_hint, f"Not a valid HTTP request: {what}")


def _head(line: RequestLine, headers: Headers, first: dict[bytes, bytes]) -> Head:
    """What follows from a head that h11 accepts, whichever way its parts were read.

    Raises:
        HTTPError: 400, the Host is none, or the framing is in doubt (RFC 9112, section 6.1); 415
            and 417, a coding or an expectation that is not known.
    """
    if not _is_host(first.get(b"host", b"")) or (line.is_modern and b"host" not in first):
        raise HTTPError(400, "Not a valid HTTP request: the Host header is absent or no host")
    chunked = b"transfer-encoding" in first  # h11 knows no other coding
    if chunked and (b"content-length" in first or not line.is_modern):
        raise HTTPError(
            400, "Not a valid HTTP request: Transfer-Encoding beside Content-Length or in HTTP/1.0"
        )
    options = _list(headers, first, b"connection")
    expected = _list(headers, first, b"expect")
    if expected - {b"100-continue"}:
        raise HTTPError(417, "No other expectation than 100-continue is met here")
    return Head(
        line,
        headers,
        first,
        length=None if chunked else int(first.get(b"content-length", 0)),
        coding=_coding(headers, first) if b"content-encoding" in first else b"",
        keep_alive=b"close" not in options and (line.is_modern or b"keep-alive" in options),
        expects_continue=line.is_modern and bool(expected),
    )


_NONE: frozenset[bytes] = frozenset()

LONGEST_CACHED = 256  # bytes of a value; nobody's memory is filled with longer ones

Verdict = TypeVar("Verdict")


def _cached_if_short(judge: Callable[[bytes], Verdict]) -> Callable[[bytes], Verdict]:
    """`judge`, remembering its verdicts on short values: nearly all requests have the same few."""
    cached = lru_cache(maxsize=1024)(judge)
    return lambda value: cached(value) if len(value) <= LONGEST_CACHED else judge(value)


_is_host = _cached_if_short(targets.is_host)


def _coding(headers: Headers, first: dict[bytes, bytes]) -> bytes:
    coding = _joined(headers, first, b"content-encoding").lower()
    if coding in (b"", b"identity"):
        return b""
    if coding not in (b"gzip", b"x-gzip"):
        accepted = ((b"accept-encoding", b"gzip"),)
        raise HTTPError(415, "No other Content-Encoding than gzip is read here", headers=accepted)
    return b"gzip"


def _list(headers: Headers, first: dict[bytes, bytes], name: bytes) -> frozenset[bytes]:
    """The members of the list that all headers of a name make up, in lower case."""
    return _members_of(_joined(headers, first, name)) if name in first else _NONE


def _joined(headers: Headers, first: dict[bytes, bytes], name: bytes) -> bytes:
    """The list that all headers of a name make up (RFC 9110, section 5.3)."""
    if len(first) == len(headers):
        return first[name]
    return b",".join(value for each, value in headers if each == name)


@_cached_if_short
def _members_of(value: bytes) -> frozenset[bytes]:
    """The members of a list (RFC 9110, section 5.6.1), in lower case."""
    return frozenset(member.strip().lower() for member in value.split(b",")) - {b""}


# --- Remembering ---------------------------------------------------------------------------------

MOST_OF_HEADS = 16 * MIB  # bytes that whole heads may take
MOST_OF_PARTS = 4 * MIB  # bytes that lines may take, and names, and request lines
LONGEST_REMEMBERED = 16 * KIB  # bytes of a head: cookies and tokens are long
MOST_SEEN = 4_096  # heads that came once
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


class Heads:
    """What h11 made of heads seen before.

    Three ways from bytes to a head, each with its cost on a head of 13 lines: the same bytes as
    before (0.5 µs); known lines, or lines of a known name with a value in plain ASCII, as of a new
    request id (5 µs); h11 (50 µs and more).
    """

    def __init__(self, limits: Limits | None = None, *, reuse: bool = True) -> None:
        self._limits = limits or Limits()
        self._reuse = reuse
        self._whole = _Table[Head](MOST_OF_HEADS)
        self._seen: set[int] = set()  # hashes of heads that were recalled line by line, once
        self._request_lines = _Table[RequestLine](MOST_OF_PARTS)
        self._lines = _Table[tuple[bytes, bytes]](MOST_OF_PARTS)
        self._names = _Table[bytes](MOST_OF_PARTS)  # as a client spells it: in lower case

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
            or len(data) > LONGEST_REMEMBERED
            or not data.endswith(END)
            or b"\n" in b"".join(lines)
            or len(lines) != len(head.headers) + 1
            or not _is_usual(head.headers, head.first)
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
        first = _first_values(headers)
        if _NAMELESS in first or len(headers) > self._limits.headers:
            return None
        return _head(request_line, headers, first) if _is_usual(headers, first) else None

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
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            self._seen.add(mark)

    def _keep(self, data: bytes, head: Head) -> None:
        if len(data) <= LONGEST_REMEMBERED:
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


def _first_values(headers: Headers) -> dict[bytes, bytes]:
    """The first value of each header."""
    values = dict(headers)
    return values if len(values) == len(headers) else dict(reversed(headers))


def _is_usual(headers: Headers, first: dict[bytes, bytes]) -> bool:
    """Whether there is one host, and framing is plain."""
    if b"host" not in first or not UNUSUAL.isdisjoint(first):
        return False
    return len(first) == len(headers) or not _repeats_a_single(headers)


def _repeats_a_single(headers: Headers) -> bool:
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) > len(set(names))
