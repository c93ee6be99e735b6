"""Decodes request bodies by their content codings (RFC 9110, section 8.4.1), up to a limit.

Knows gzip (RFC 1952), deflate (RFC 1950, and RFC 1951 as some clients send it), br (RFC 7932) and
zstd (RFC 8878). Each of several codings is limited to the same size. The libraries for br and zstd
are imported when the first such body arrives. A large body is decoded in pieces, which yield False.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

from mockllm.errors import HTTPError
from mockllm.limits import KIB, MIB
from mockllm.pieces import Pieces

MAX_CODINGS = 4  # of one body; each may take as much time and memory as a whole body
MAX_MEMBERS = 10_000  # gzip members or zstd frames of a body; each costs some microseconds
MAX_WINDOW = 8 * MIB  # memory that a zstd frame may ask for (RFC 9659, section 3)
_PIECE = 4 * KIB  # bytes decompressed at once: zlib copies what follows a member, at most this much
_ZSTD_PIECE = 512  # the same for zstd, whose output cannot be bounded: 512 bytes give up to 16 MiB
_ZSTD_DENSE_PIECE = 32  # the same where that has come of one piece

_OUTPUT = 256 * KIB  # bytes that are made at once: 4 KiB give up to 4 MiB
_INPUT = 64 * KIB  # bytes of br that are decompressed at once
_MEMBER = KIB  # a member takes as long as so many bytes
_PAUSE = 512 * KIB  # bytes read and made between two pauses, which take up to 2 ms

_GZIP = 16 + zlib.MAX_WBITS  # a gzip header and trailer, and the largest window


def decode(data: bytes, codings: Sequence[str], most: int) -> Pieces[bytes]:
    """Decode `data`, to which `codings` were applied in this order, to at most `most` bytes.

    Raises:
        HTTPError: 400, `data` is invalid, truncated or followed by something else; 413, the result
            of a coding is larger.
    """
    for coding in reversed(codings):
        data = yield from _DECODERS[coding](data, most)
    return data


def split_codings(value: bytes) -> tuple[str, ...]:
    """Return the codings in the value of a Content-Encoding header, in lower case and without
    ``identity``: ``GZIP, zstd`` is ``("gzip", "zstd")``.

    Raises:
        HTTPError: 415, with the codings that are accepted (RFC 9110, section 12.5.3), if there is
            an unknown coding or more than `MAX_CODINGS`.
    """
    listed = (member.strip(b" \t").lower().decode("latin-1") for member in value.split(b","))
    codings = tuple(coding for coding in listed if coding not in ("", "identity"))
    accept = ((b"accept-encoding", ACCEPTED.encode()),)
    if not _DECODERS.keys() >= set(codings):
        message = f"Unsupported Content-Encoding; accepted are {ACCEPTED}"
        raise HTTPError(415, message, headers=accept)
    if len(codings) > MAX_CODINGS:
        message = f"Unsupported Content-Encoding: more than {MAX_CODINGS} codings"
        raise HTTPError(415, message, headers=accept)
    return codings


# --- gzip and deflate ----------------------------------------------------------------------------


class _Decoded:
    """What is decoded of a body that has at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = BytesIO()  # to join pieces of 60 MB at the end takes 20 ms
        self._worked = 0

    @property
    def left(self) -> int:
        """The bytes that may still come."""
        return self._most - self._data.tell()

    @property
    def data(self) -> bytes:
        """All that is decoded."""
        return self._data.getvalue()  # not a copy

    def add(self, part: bytes, read: int) -> None:
        """Add what was decoded of `read` bytes.

        Raises:
            HTTPError: 413, it is too much.
        """
        if len(part) > self.left:
            raise HTTPError(413, f"The body is larger than {self._most:,} bytes when decompressed")
        self._data.write(part)
        self._worked += len(part) + read

    @property
    def needs_pause(self) -> bool:
        """True, once, if as much is done as may be done without a pause."""
        if self._worked < _PAUSE:
            return False
        self._worked = 0
        return True


def _gunzip(data: bytes, most: int) -> Pieces[bytes]:
    return _inflate_members(data, most, "gzip", _GZIP, MAX_MEMBERS)


def _inflate(data: bytes, most: int) -> Pieces[bytes]:
    """Decompress one zlib stream, or a bare deflate stream, which "some non-conformant
    implementations" send (RFC 9110, section 8.4.1.2)."""
    bits = zlib.MAX_WBITS if _has_zlib_header(data) else -zlib.MAX_WBITS
    return _inflate_members(data, most, "deflate", bits, most_members=1)


def _has_zlib_header(data: bytes) -> bool:
    """Return True for a valid CMF and FLG (RFC 1950, section 2.2). No encoder begins a bare stream
    like this: it would be a stored block with padding other than zero."""
    header = int.from_bytes(data[:2])
    return header >> 8 & 0x0F == zlib.DEFLATED and header < 0x8000 and header % 31 == 0


def _inflate_members(
    data: bytes, most: int, coding: str, bits: int, most_members: int
) -> Pieces[bytes]:
    decoded = _Decoded(most)
    at = 0  # offset of the next piece in `data`
    for _ in range(most_members):
        member = zlib.decompressobj(bits)
        read = _MEMBER
        while not member.eof:
            piece = data[at : at + _PIECE]
            try:
                part = member.decompress(piece, min(decoded.left + 1, _OUTPUT))
            except zlib.error as exc:
                raise _invalid(coding, str(exc)) from exc
            decoded.add(part, read + len(piece))
            if not piece and not part:
                raise _invalid(coding, "it is truncated")
            at += len(piece) - len(member.unused_data) - len(member.unconsumed_tail)
            read = 0
            if decoded.needs_pause:
                yield False
        if at == len(data):
            return decoded.data
    raise _too_many_members(coding, most_members)


# --- br and zstd ---------------------------------------------------------------------------------


def _unbrotli(data: bytes, most: int) -> Pieces[bytes]:
    import brotli

    decompressor = brotli.Decompressor()
    decoded = _Decoded(most)
    at = 0
    while not decompressor.is_finished():
        piece = data[at : at + _INPUT] if decompressor.can_accept_more_data() else b""
        at += len(piece)
        try:
            part = decompressor.process(piece, output_buffer_limit=_OUTPUT)
        except brotli.error as exc:
            raise _corrupt_brotli() from exc
        decoded.add(part, len(piece))
        if not piece and not part and not decompressor.is_finished():
            raise _invalid("br", "it is truncated")
        if decoded.needs_pause:
            yield False
    if at < len(data):
        raise _corrupt_brotli()
    return decoded.data


def _unzstd(data: bytes, most: int) -> Pieces[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    decoded = _Decoded(most)
    at = 0
    for _ in range(MAX_MEMBERS):
        frame = decompressor.decompressobj()
        read, size = _MEMBER, _ZSTD_DENSE_PIECE
        while not frame.eof:
            piece = data[at : at + size]
            if not piece:
                raise _invalid("zstd", "it is truncated")
            try:
                part = frame.decompress(piece)
            except zstandard.ZstdError as exc:
                raise _invalid("zstd", str(exc).removeprefix("zstd decompressor error: ")) from exc
            decoded.add(part, read + len(piece))
            at += len(piece) - len(frame.unused_data)
            read, size = 0, _ZSTD_PIECE if len(part) < _OUTPUT else _ZSTD_DENSE_PIECE
            if decoded.needs_pause:
                yield False
        if at == len(data):
            return decoded.data
    raise _too_many_members("zstd", MAX_MEMBERS)


_DECODERS: Mapping[str, Callable[[bytes, int], Pieces[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,  # RFC 9110, section 8.4.1.3
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
ACCEPTED = ", ".join(name for name in _DECODERS if name != "x-gzip")
"""The codings that are decoded, as a list in a header."""


# --- errors --------------------------------------------------------------------------------------


def _too_many_members(coding: str, most: int) -> HTTPError:
    if most == 1:
        return _invalid(coding, "something follows it")
    return _invalid(coding, f"it has more than {most:,} members")


def _invalid(coding: str, why: str) -> HTTPError:
    return HTTPError(400, f"The body is not valid {coding}, its Content-Encoding: {why}")


def _corrupt_brotli() -> HTTPError:
    return _invalid("br", "it is corrupt, or something follows it")
