"""The head of a request: what h11 makes of its bytes, and what follows from it.

h11 is the only authority on HTTP grammar (RFC 9112); this module asks it and keeps what a server
needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass

import h11

from mockllm.errors import HTTPError
from mockllm.exchange import Headers

MAX_CHUNK_LINE = 16 * 1024  # bytes of a chunk's size and extensions, or of its trailers


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and its headers.

    `length` is the body's length in bytes, None for a chunked one. `keep_alive` tells whether the
    client takes another answer on this connection, `takes_chunks` whether it understands an answer
    in chunks.
    """

    method: str
    path: str
    query: str
    headers: Headers
    length: int | None
    keep_alive: bool
    takes_chunks: bool
    expects_continue: bool


def parse(data: bytes) -> tuple[Head, h11.Connection]:
    """The head that `data` is, from the request line to the empty line, and the h11 connection
    that read it, which goes on to read a chunked body.

    Raises:
        HTTPError: `data` is not a head by RFC 9112, with h11's status hint.
    """
    connection = h11.Connection(
        h11.SERVER, max_incomplete_event_size=max(len(data), MAX_CHUNK_LINE)
    )
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise HTTPError(exc.error_status_hint, f"Not a valid HTTP request: {exc}") from exc
    assert isinstance(event, h11.Request)
    return _head(event), connection


def _head(event: h11.Request) -> Head:
    headers = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    modern = event.http_version >= b"1.1"
    path, _, query = event.target.decode("ascii").partition("?")
    return Head(
        method=event.method.decode("ascii"),
        path=path,
        query=query,
        headers=headers,
        length=_length(headers),
        keep_alive=modern and b"close" not in _tokens(headers, b"connection"),
        takes_chunks=modern,
        expects_continue=modern and b"100-continue" in _tokens(headers, b"expect"),
    )


def _length(headers: Headers) -> int | None:
    """By RFC 9112, section 6.3. h11 has checked that the members agree and are well formed."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)
    return length


def _tokens(headers: Headers, wanted: bytes) -> set[bytes]:
    values = (value for name, value in headers if name == wanted)
    return {token.strip().lower() for value in values for token in value.split(b",")}
