"""Bodies that are sent compressed: gzip (RFC 1952), and no more of it than the limit allows."""

from __future__ import annotations

import zlib

from mockllm.errors import HTTPError
from mockllm.limits import KIB

MAX_MEMBERS = 10_000  # of one body; each costs some microseconds, be it empty
_PIECE = 4 * KIB  # bytes fed at once: what follows a member is copied, but no more of it

_GZIP = 16 + zlib.MAX_WBITS  # a gzip header and trailer, and the largest window


def gunzip(data: bytes, most: int) -> bytes:
    """The body that `data` is, of at most `most` bytes, in one gzip member or several.

    Raises:
        HTTPError: 400, it is not gzip or is cut short; 413, it is larger.
    """
    parts: list[bytes] = []
    left = most
    at = 0  # of `data`, where the next piece begins
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            piece = data[at : at + _PIECE]
            try:
                part = member.decompress(piece, left + 1)
            except zlib.error as exc:
                raise _no_gzip(str(exc)) from exc
            if len(part) > left:
                raise HTTPError(413, f"The body is larger than {most:,} bytes when decompressed")
            if not piece:
                raise _no_gzip("it is cut short")
            parts.append(part)
            left -= len(part)
            at += len(piece) - len(member.unused_data)
        if at == len(data):
            return b"".join(parts)
    raise _no_gzip(f"it has more than {MAX_MEMBERS:,} members")


def _no_gzip(why: str) -> HTTPError:
    return HTTPError(400, f"The body is not gzip, as Content-Encoding says: {why}")
