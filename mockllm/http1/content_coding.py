"""Decompresses request bodies: gzip (RFC 1952), up to a limit."""

from __future__ import annotations

import zlib

from mockllm.errors import HTTPError
from mockllm.limits import KIB

MAX_MEMBERS = 10_000  # of one body; each costs some microseconds, even if it is empty
_PIECE = 4 * KIB  # bytes decompressed at once: zlib copies what follows a member, at most this much

_GZIP = 16 + zlib.MAX_WBITS  # a gzip header and trailer, and the largest window


def gunzip(data: bytes, most: int) -> bytes:
    """Decompress one or several gzip members to at most `most` bytes.

    Raises:
        HTTPError: 400, `data` is not gzip or is truncated; 413, the result is larger.
    """
    parts: list[bytes] = []
    left = most
    at = 0  # offset of the next piece in `data`
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            piece = data[at : at + _PIECE]
            try:
                part = member.decompress(piece, left + 1)
            except zlib.error as exc:
                raise _invalid_gzip(str(exc)) from exc
            if len(part) > left:
                raise HTTPError(413, f"The body is larger than {most:,} bytes when decompressed")
            if not piece:
                raise _invalid_gzip("it is truncated")
            parts.append(part)
            left -= len(part)
            at += len(piece) - len(member.unused_data)
        if at == len(data):
            return b"".join(parts)
    raise _invalid_gzip(f"it has more than {MAX_MEMBERS:,} members")


def _invalid_gzip(why: str) -> HTTPError:
    return HTTPError(400, f"The body is not valid gzip, although Content-Encoding is gzip: {why}")
