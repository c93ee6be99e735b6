"""The head of a request: what h11 makes of its bytes.

h11 is the authority on HTTP grammar (RFC 9112). Asking it costs about 50 µs, more than all else
that a small request needs, so `head_cache` remembers its verdicts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

import h11

from mockllm.errors import ForeignProtocolError, HTTPError
from mockllm.exchange import Headers
from mockllm.http1 import request_target
from mockllm.limits import Limits

END = b"\r\n\r\n"


class RequestLine(NamedTuple):
    """The first line of a head, its target resolved."""

    method: str
    path: str
    query: str
    is_http11: bool
    """Whether the client speaks HTTP/1.1 or a later minor version."""


class Head(NamedTuple):
    """A request line and its headers. (A tuple, since one is made for many a request.)

    `length` is the body's length in bytes, None for a chunked one, `coding` its Content-Encoding:
    ``gzip`` or nothing. `keep_alive`: the client takes another answer on this connection.
    """

    line: RequestLine
    headers: Headers
    first_values: dict[bytes, bytes]
    length: int | None
    coding: bytes
    keep_alive: bool
    expects_continue: bool


def parse(data: bytes, limits: Limits) -> Head:
    """The head that `data` is, from the request line to the empty line.

    Raises:
        HTTPError: `data` is not a head by RFC 9112 (with h11's status hint), or it wants what this
            server refuses: see `make_head`.
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
    line = RequestLine(method, *request_target.resolve(method, target), version != b"1.0")
    return make_head(line, headers, first_values(headers))


def malformed(error: h11.RemoteProtocolError) -> HTTPError:
    """What h11 found, without what it quotes: the bytes may hold a credential."""
    what = str(error).partition(":")[0]
    return HTTPError(error.error_status_hint, f"Not a valid HTTP request: {what}")


def make_head(line: RequestLine, headers: Headers, values: dict[bytes, bytes]) -> Head:
    """What follows from a head that h11 accepts, whichever way its parts were read.

    Raises:
        HTTPError: 400, the Host is none, or the framing is in doubt (RFC 9112, section 6.1); 415
            and 417, a coding or an expectation that is not known.
    """
    if not _is_host(values.get(b"host", b"")) or (line.is_http11 and b"host" not in values):
        raise HTTPError(400, "Not a valid HTTP request: the Host header is absent or no host")
    chunked = b"transfer-encoding" in values  # h11 knows no other coding
    if chunked and (b"content-length" in values or not line.is_http11):
        raise HTTPError(
            400, "Not a valid HTTP request: Transfer-Encoding beside Content-Length or in HTTP/1.0"
        )
    options = _list(headers, values, b"connection")
    expected = _list(headers, values, b"expect")
    if expected - {b"100-continue"}:
        raise HTTPError(417, "No other expectation than 100-continue is met here")
    return Head(
        line,
        headers,
        values,
        length=None if chunked else int(values.get(b"content-length", 0)),
        coding=_coding(headers, values) if b"content-encoding" in values else b"",
        keep_alive=b"close" not in options and (line.is_http11 or b"keep-alive" in options),
        expects_continue=line.is_http11 and bool(expected),
    )


_NONE: frozenset[bytes] = frozenset()

MAX_CACHED_VALUE = 256  # bytes of a value; nobody's memory is filled with longer ones

Verdict = TypeVar("Verdict")


def _cached_if_short(judge: Callable[[bytes], Verdict]) -> Callable[[bytes], Verdict]:
    """`judge`, remembering its verdicts on short values: nearly all requests have the same few."""
    cached = lru_cache(maxsize=1024)(judge)
    return lambda value: cached(value) if len(value) <= MAX_CACHED_VALUE else judge(value)


_is_host = _cached_if_short(request_target.is_host)


def _coding(headers: Headers, values: dict[bytes, bytes]) -> bytes:
    coding = _joined(headers, values, b"content-encoding").lower()
    if coding in (b"", b"identity"):
        return b""
    if coding not in (b"gzip", b"x-gzip"):
        accepted = ((b"accept-encoding", b"gzip"),)
        raise HTTPError(415, "No other Content-Encoding than gzip is read here", headers=accepted)
    return b"gzip"


def _list(headers: Headers, values: dict[bytes, bytes], name: bytes) -> frozenset[bytes]:
    """The members of the list that all headers of a name make up, in lower case."""
    return _members_of(_joined(headers, values, name)) if name in values else _NONE


def _joined(headers: Headers, values: dict[bytes, bytes], name: bytes) -> bytes:
    """The list that all headers of a name make up (RFC 9110, section 5.3)."""
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
