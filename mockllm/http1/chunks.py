"""Decodes chunked bodies (RFC 9112, section 7.1).

Stricter than h11 on control characters in extensions, more lenient on the white space around them,
as the standard requires, and bounded. A body that is accepted here decodes to the same bytes as
with h11, which a property test checks. Trailers are validated by h11 and then ignored."""

from __future__ import annotations

import re
from enum import Enum, auto
from io import BytesIO

import h11

from mockllm.errors import HTTPError
from mockllm.http1.heads import malformed
from mockllm.limits import KIB, Limits

MAX_LINE = 4 * KIB  # bytes of a chunk's size and extensions
MAX_PARTS = 2_000  # parts that are read at once, which takes about 2 ms: a chunk has three
MAX_EXTENSIONS = 16 * KIB  # bytes of all extensions of a body

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_LINE = re.compile(rb"([0-9A-Fa-f]{1,32})((?:%b)*)[ \t]*\r\n" % _EXTENSION)
_END_OF_TRAILERS = re.compile(rb"\n\r?\n")
_BEFORE_TRAILERS = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"


class Part(Enum):
    """The part of the body that is read next."""

    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    NOTHING = auto()


class ChunkedBody:
    """Decodes one body: `feed` it until it `is_whole`, then read `body` and the bytes after it,
    `rest`. Very small chunks are decoded some at a time: while it `has_more`, `feed` it nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._part = Part.SIZE
        self._data = BytesIO()  # of all chunks; a list of small pieces would need more memory
        self._waiting = b""  # an incomplete part
        self._left = 0  # bytes of the chunk's data
        self._extensions = 0  # bytes of all extensions
        self._announced = 0  # bytes of all chunks
        self.rest = b""
        self.has_more = False
        """True if bytes were left for the next call of `feed`."""

    @property
    def is_whole(self) -> bool:
        """True once the last chunk and the trailers have been received."""
        return self._part is Part.NOTHING

    @property
    def body(self) -> bytes:
        """The data of all chunks."""
        return self._data.getvalue()  # not a copy

    @property
    def received(self) -> int:
        """The bytes received so far, as a measure of the client's progress."""
        return self._data.tell() + len(self._waiting)

    def feed(self, data: bytes) -> None:
        """Decode more bytes.

        Raises:
            HTTPError: 400, invalid chunks; 413 or 431, they are too large.
        """
        fresh = 0 if self.has_more else len(self._waiting)
        data = self._waiting + data
        at: int | None = 0
        parts = 0
        self.has_more = False
        while at is not None:
            start = at
            if parts >= MAX_PARTS and not self.is_whole:
                self.has_more = True
                break
            parts += 1
            match self._part:
                case Part.SIZE:
                    at = self._read_size(data, start)
                case Part.DATA:
                    at = self._read_data(data, start)
                case Part.DATA_END:
                    at = self._read_data_end(data, start)
                case Part.TRAILERS:
                    at = self._read_trailers(data, start, fresh)
                case Part.NOTHING:
                    self.rest = data[start:]
                    return
        self._waiting = data[start:]

    # Each of these reads its part of `data` from offset `at` and returns the offset of its end, or
    # None if the part is incomplete.

    def _read_size(self, data: bytes, at: int) -> int | None:
        end = data.find(b"\n", at, at + MAX_LINE) + 1
        if not end:
            if len(data) - at >= MAX_LINE:
                raise _malformed_chunks("chunk size line too long")
            return None
        line = _LINE.fullmatch(data, at, end)
        if line is None:
            raise _malformed_chunks("invalid chunk size line")
        self._extensions += len(line[2])
        if self._extensions > MAX_EXTENSIONS:
            raise HTTPError(431, "Chunk extensions too large")
        self._left = int(line[1], 16)
        self._announced += self._left
        if self._announced > self._limits.body:
            raise HTTPError(413, f"The body is larger than {self._limits.body:,} bytes")
        self._part = Part.DATA if self._left else Part.TRAILERS
        return end

    def _read_data(self, data: bytes, at: int) -> int | None:
        piece = data[at : at + self._left]
        if not piece:
            return None
        self._data.write(piece)
        self._left -= len(piece)
        if not self._left:
            self._part = Part.DATA_END
        return at + len(piece)

    def _read_data_end(self, data: bytes, at: int) -> int | None:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._part = Part.SIZE
            return at + 2
        if b"\r\n".startswith(end):
            return None
        raise _malformed_chunks("chunk longer than its size")

    def _read_trailers(self, data: bytes, at: int, fresh: int) -> int | None:
        if data.startswith(b"\r\n", at):
            self._part = Part.NOTHING
            return at + 2
        if data.startswith(b"\n", at):
            raise _malformed_chunks("missing CR after the last chunk")
        found = _END_OF_TRAILERS.search(data, max(at, fresh - 3))
        end = found.end() if found is not None else len(data)
        if end - at > self._limits.head:
            raise HTTPError(431, f"The trailers are larger than {self._limits.head:,} bytes")
        if found is None:
            return None
        _check_trailers(data[at:end], self._limits.headers)
        self._part = Part.NOTHING
        return end


def _check_trailers(lines: bytes, most: int) -> None:
    """Validate trailers by letting h11 parse them after an empty body."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(lines) + KIB)
    try:
        connection.receive_data(_BEFORE_TRAILERS + lines)
        connection.next_event()
        end = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise malformed(exc) from exc
    if not isinstance(end, h11.EndOfMessage) or connection.trailing_data[0]:
        raise _malformed_chunks("invalid trailers")
    if len(end.headers) > most:
        raise HTTPError(431, f"More than {most} trailers")


def _malformed_chunks(why: str) -> HTTPError:
    return HTTPError(400, f"Not a valid HTTP request: {why}")
