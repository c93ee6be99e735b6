"""Parses the head of a request: its request line and headers.

Theory of operation
===================

In: the bytes from the request line to the empty line. Out: a `Head`, or an `HTTPError`.

h11 is the authority on HTTP grammar (RFC 9112). Parsing has two stages, so that only the first
one depends on h11:

1. `parse` lets h11 split the bytes into a method, a target and headers, or reject them. Names come
   back in lower case, values without the white space around them.
2. `make_head` derives from these parts how the request is framed: the length of its body, its
   codings, whether the connection persists. It rejects what h11 accepts but what two recipients
   could frame differently.

The first stage costs about 50 µs, more than the rest of a small request. `head_cache` therefore
remembers its results; a head that it puts together from parts goes through the second stage like
a new one.

Example: ``POST /v1/chat/completions HTTP/1.1``, ``Host: localhost``, ``Content-Length: 2`` becomes

    Head(
        line=RequestLine("POST", "/v1/chat/completions", query="", is_http11=True),
        lines=((b"host", b"localhost"), (b"content-length", b"2")),
        first_values={b"host": b"localhost", b"content-length": b"2"},
        size=71, length=2, codings=(), keep_alive=True, expects_continue=False,
    )

Without the Host header, `make_head` raises ``HTTPError(400)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple, TypeVar

import h11

from mockllm.errors import ForeignProtocolError, HTTPError
from mockllm.exchange import HeaderParts, Headers, Request, join_lines
from mockllm.http1 import request_target
from mockllm.http1.content_coding import split_codings
from mockllm.limits import Limits

END = b"\r\n\r\n"
MAX_LINES = 8  # lines of a head for each header: a value may have several
_BEGINNING = re.compile(rb"\s*([A-Z]+) ([!-~]+)")

# Messages of h11 that have a colon of their own, by what is before it.
_REASONS = {
    "Found multiple Host": "more than one Host header",
    "Missing mandatory Host": "missing or invalid Host header",
    "Only Transfer-Encoding": "unsupported Transfer-Encoding; only chunked is supported",
}


class RequestLine(NamedTuple):
    """The first line of a head, with its target split into path and query."""

    method: str
    path: str
    query: str
    is_http11: bool
    """True for HTTP/1.1 and later minor versions, false for HTTP/1.0."""


class Head(NamedTuple):
    """A request line and its headers. (A tuple, because tuples are the cheapest to create.)

    `size` is that of the head in bytes. `length` is that of the body, or None if it is chunked.
    `codings` are those of its Content-Encoding, in the order in which they were applied. With
    `keep_alive` the connection persists after the response.
    """

    line: RequestLine
    lines: Headers | HeaderParts
    first_values: dict[bytes, bytes]
    size: int
    length: int | None
    codings: tuple[str, ...]
    keep_alive: bool
    expects_continue: bool

    @property
    def headers(self) -> Headers:
        """The header lines in one tuple."""
        return join_lines(self.lines)


def parse(data: bytes, limits: Limits) -> Head:
    """Parse a head, from the request line to the empty line.

    Raises:
        HTTPError: `data` is not a valid head by RFC 9112 (with h11's status hint), or it asks for
            something unsupported: see `make_head`.
        ForeignProtocolError: the client speaks HTTP/2.
    """
    if data.count(b"\n") > limits.headers * MAX_LINES:
        raise HTTPError(431, f"More than {limits.headers} headers")
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
        raise HTTPError(505, f"Unsupported HTTP version {version.decode()}; use HTTP/1.1")
    headers = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    if len(headers) > limits.headers:
        raise HTTPError(431, f"More than {limits.headers} headers")
    line = RequestLine(method, *request_target.resolve(method, target), version != b"1.0")
    return make_head(line, headers, first_values(headers), len(data))


def malformed(error: h11.RemoteProtocolError) -> HTTPError:
    """Translate an error of h11, without the bytes it quotes: they may contain a credential."""
    reason = str(error).partition(":")[0]
    reason = _REASONS.get(reason, reason)
    return HTTPError(error.error_status_hint, f"Not a valid HTTP request: {reason}")


def glimpse(data: bytes) -> Request:
    """Return as much of a request as `data`, the beginning of a head or an invalid one, reveals:
    its method, path and headers, without a body.

    For error responses only, whose format and receiver depend on it. Nothing here is validated but
    the path; without a valid one, method and path are empty.
    """
    found = _BEGINNING.match(data)
    if found is None:
        return Request.of("", "")
    method, target = found[1].decode("ascii"), found[2].decode("ascii")
    path, query = _glimpse_target(method, target)
    if not path:
        return Request.of("", "")
    lines = [line.partition(b":") for line in data[found.end() :].split(b"\n")[1:-1]]
    headers = tuple((name.lower(), value.strip()) for name, colon, value in lines if colon)
    return Request.of(method, path, headers, query=query)


def _glimpse_target(method: str, target: str) -> tuple[str, str]:
    """Return the path and the query of a target, and the path alone if its query is invalid; both
    are empty if the path is."""
    for part in (target, target.partition("?")[0]):
        with suppress(HTTPError):
            return request_target.resolve(method, part)
    return "", ""


def make_head(line: RequestLine, headers: Headers, values: dict[bytes, bytes], size: int) -> Head:
    """Derive the framing of a request from parts that h11 accepts, of `size` bytes.

    Raises:
        HTTPError: 400, a missing or invalid Host, or ambiguous framing (RFC 9112, section 6.1);
            415, an unsupported Content-Encoding; 417, an unsupported expectation.
    """
    if not _is_host(values.get(b"host", b"")) or (line.is_http11 and b"host" not in values):
        raise HTTPError(400, "Not a valid HTTP request: missing or invalid Host header")
    chunked = b"transfer-encoding" in values  # h11 rejects all codings but chunked
    if chunked and (b"content-length" in values or not line.is_http11):
        raise HTTPError(
            400, "Not a valid HTTP request: Transfer-Encoding with Content-Length or in HTTP/1.0"
        )
    options = _list(headers, values, b"connection")
    expected = _list(headers, values, b"expect")
    if expected - {b"100-continue"}:
        raise HTTPError(417, "Unsupported Expect value; only 100-continue is supported")
    return Head(
        line,
        headers,
        values,
        size,
        length=None if chunked else int(values.get(b"content-length", 0)),
        codings=_codings(headers, values) if b"content-encoding" in values else (),
        keep_alive=b"close" not in options and (line.is_http11 or b"keep-alive" in options),
        expects_continue=line.is_http11 and bool(expected),
    )


_NONE: frozenset[bytes] = frozenset()

MAX_CACHED_VALUE = 256  # bytes of a value; longer ones could fill the memory

Verdict = TypeVar("Verdict")


def _cached_if_short(judge: Callable[[bytes], Verdict]) -> Callable[[bytes], Verdict]:
    """Memoise `judge` for short values: nearly all requests share the same few."""
    cached = lru_cache(maxsize=1024)(judge)
    return lambda value: cached(value) if len(value) <= MAX_CACHED_VALUE else judge(value)


_is_host = _cached_if_short(request_target.is_host)


def _codings(headers: Headers, values: dict[bytes, bytes]) -> tuple[str, ...]:
    return split_codings(_joined(headers, values, b"content-encoding"))


def _list(headers: Headers, values: dict[bytes, bytes], name: bytes) -> frozenset[bytes]:
    """The list members in all headers of one name, in lower case."""
    return _members_of(_joined(headers, values, name)) if name in values else _NONE


def _joined(headers: Headers, values: dict[bytes, bytes], name: bytes) -> bytes:
    """The values of all headers of one name, combined into one list (RFC 9110, section 5.3)."""
    if len(values) == len(headers):
        return values[name]
    return b",".join(value for each, value in headers if each == name)


@_cached_if_short
def _members_of(value: bytes) -> frozenset[bytes]:
    """The members of a list (RFC 9110, section 5.6.1), in lower case."""
    return frozenset(member.strip().lower() for member in value.split(b",")) - {b""}


def first_values(headers: Headers) -> dict[bytes, bytes]:
    """The first value of each header."""
    values = dict(headers)
    return values if len(values) == len(headers) else dict(reversed(headers))
