"""Bodies that are sent compressed: gzip (RFC 1952), and no more of it than the limit allows."""

from __future__ import annotations

import zlib

from mockllm.errors import HTTPError

_GZIP = 16 + zlib.MAX_WBITS  # a gzip header and trailer, and the largest window


def gunzip(data: bytes, most: int) -> bytes:
    """The body that `data` is, of at most `most` bytes, in one gzip member or several.

    Raises:
        HTTPError: 400, it is not gzip or is cut short; 413, it is larger.
    """
    parts: list[bytes] = []
    left = most
    while data or not parts:
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(data, left + 1)
        except zlib.error as exc:
            raise HTTPError(400, f"The body is not gzip, as Content-Encoding says: {exc}") from exc
        if len(part) > left:
            raise HTTPError(413, f"The body is larger than {most:,} bytes when decompressed")
        if not member.eof:
            raise HTTPError(400, "The body is not gzip, as Content-Encoding says: it is cut short")
        parts.append(part)
        left -= len(part)
        data = member.unused_data
    return b"".join(parts)
