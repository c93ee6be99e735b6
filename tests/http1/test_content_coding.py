from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import shake_256

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import HTTPError
from mockllm.http1 import content_coding
from mockllm.http1.content_coding import MAX_CODINGS, MAX_MEMBERS, decode, split_codings
from mockllm.limits import MIB
from mockllm.pieces import finish
from tests.support.work import count_pauses

Encode = Callable[[bytes], bytes]
VARIED = shake_256(b"").digest(1_100_000)
"""Bytes that no coding makes fewer."""


def bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_stream(data: bytes) -> bytes:
    """As streaming encoders write it: without the size of the content."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


ENCODERS = [
    pytest.param("gzip", gzipped, id="gzip"),
    pytest.param("x-gzip", gzipped, id="x-gzip"),
    pytest.param("deflate", zlib.compress, id="deflate"),
    pytest.param("deflate", bare_deflate, id="bare deflate"),
    pytest.param("br", brotli.compress, id="br"),
    pytest.param("zstd", zstd, id="zstd"),
    pytest.param("zstd", zstd_stream, id="zstd stream"),
]
every_coding = pytest.mark.parametrize(("coding", "encode"), ENCODERS)


def decoded(data: bytes, codings: tuple[str, ...], most: int) -> bytes:
    return finish(decode(data, codings, most))


def status_of(data: bytes, codings: tuple[str, ...], most: int) -> int:
    with pytest.raises(HTTPError) as caught:
        decoded(data, codings, most)
    return caught.value.status


@every_coding
@given(body=st.binary(max_size=2000))
def test_a_body_is_decoded_up_to_the_limit(coding: str, encode: Encode, body: bytes) -> None:
    assert decoded(encode(body), (coding,), len(body)) == body
    if body:
        assert status_of(encode(body), (coding,), len(body) - 1) == 413


@every_coding
def test_a_large_body_is_whole(coding: str, encode: Encode) -> None:
    body = random.Random(0).randbytes(100_000) + bytes(1_000_000)  # noqa: S311  # no secret
    assert decoded(encode(body), (coding,), len(body)) == body


@every_coding
def test_a_body_cut_anywhere_is_refused(coding: str, encode: Encode) -> None:
    data = encode(b"hello" * 20 + bytes(range(256)))
    assert {status_of(data[:end], (coding,), 1000) for end in range(len(data))} == {400}


@every_coding
@pytest.mark.parametrize("rest", [b"x", b"\0", b"{}", b"\xff" * 10_000])
def test_bytes_after_the_body_are_refused(coding: str, encode: Encode, rest: bytes) -> None:
    assert status_of(encode(b"hello") + rest, (coding,), 1000) == 400


@every_coding
def test_a_body_that_is_not_encoded_is_refused(coding: str, encode: Encode) -> None:
    with pytest.raises(HTTPError, match=r"not valid (gzip|deflate|br|zstd)") as caught:
        decoded(b'{"model": "gpt-4o"}', (coding,), 1000)
    assert caught.value.status == 400


@every_coding
def test_a_bomb_is_refused(coding: str, encode: Encode) -> None:
    assert status_of(encode(bytes(20_000_000)), (coding,), 100) == 413


@pytest.mark.parametrize("encode", [gzipped, zstd, zstd_stream])
@given(
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=3),
    piece=st.sampled_from([1, 7, 4096]),
)
def test_members_are_joined(encode: Encode, parts: list[bytes], piece: int) -> None:
    coding = "gzip" if encode is gzipped else "zstd"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_coding, "_PIECE", piece)
        patch.setattr(content_coding, "_ZSTD_PIECE", piece)
        assert decoded(b"".join(map(encode, parts)), (coding,), 600) == b"".join(parts)


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzipped), ("zstd", zstd)])
def test_members_share_one_limit_and_are_bounded(coding: str, encode: Encode) -> None:
    assert status_of(encode(bytes(60)) * 2, (coding,), 100) == 413
    packed = encode(b"hello")
    assert decoded(packed * MAX_MEMBERS, (coding,), 100_000) == b"hello" * MAX_MEMBERS
    with pytest.raises(HTTPError, match="more than 10,000 members") as caught:
        decoded(packed * (MAX_MEMBERS + 1), (coding,), 100_000)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzipped(b"hello")[:-8] + bytes(8)),
        ("deflate", zlib.compress(b"hello")[:-4] + bytes(4)),
        ("zstd", zstd(b"hello")[:-4] + bytes(4)),
        ("deflate", zlib.compress(b"hello") * 2),
        ("br", brotli.compress(b"hello") * 2),
    ],
)
def test_wrong_checksums_and_second_streams_are_refused(coding: str, data: bytes) -> None:
    assert status_of(data, (coding,), 1000) == 400


def test_a_deflate_stream_with_a_preset_dictionary_is_refused() -> None:
    compressor = zlib.compressobj(zdict=b"hello")
    assert status_of(compressor.compress(b"hello") + compressor.flush(), ("deflate",), 100) == 400


def test_a_skippable_zstd_frame_is_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"  # RFC 8878, section 3.1.2
    assert decoded(skippable + zstd(b"hello") + skippable, ("zstd",), 100) == b"hello"


def test_a_zstd_frame_that_needs_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(b"hello") + compressor.flush()
    assert status_of(data, ("zstd",), 1000) == 400


def test_codings_are_undone_from_the_last_to_the_first() -> None:
    assert decoded(zstd(gzipped(b"hello")), ("gzip", "zstd"), 100) == b"hello"
    assert status_of(gzipped(zstd(b"hello")), ("gzip", "zstd"), 100) == 400


def test_each_of_several_codings_is_limited() -> None:
    bomb = gzipped(bytes(1000))
    assert status_of(brotli.compress(bomb), ("gzip", "br"), 999) == 413
    assert status_of(brotli.compress(bytes(1000) + bomb), ("gzip", "br"), 999) == 413


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        (b"", ()),
        (b"identity", ()),
        (b" , Identity,", ()),
        (b"GZIP", ("gzip",)),
        (b"gzip,\tzstd", ("gzip", "zstd")),
        (b"br, identity, Deflate", ("br", "deflate")),
    ],
)
def test_a_header_is_split_into_codings(value: bytes, codings: tuple[str, ...]) -> None:
    assert split_codings(value) == codings


@pytest.mark.parametrize(
    "value", [b"compress", b"gzip, lzma", b"*", b"gzip;q=1", b"\xff", b", ".join([b"br"] * 5)]
)
def test_other_codings_are_refused_with_those_accepted(value: bytes) -> None:
    with pytest.raises(HTTPError, match="Unsupported Content-Encoding") as caught:
        split_codings(value)
    assert caught.value.status == 415
    assert caught.value.headers == ((b"accept-encoding", b"gzip, deflate, br, zstd"),)
    assert split_codings(b", ".join([b"br"] * MAX_CODINGS)) == ("br",) * MAX_CODINGS


@every_coding
@pytest.mark.parametrize("body", [b"a" * 8_000_000, VARIED])
def test_a_large_body_is_decoded_in_pieces(coding: str, encode: Encode, body: bytes) -> None:
    result, pauses = count_pauses(decode(encode(body), (coding,), len(body)))

    assert result == body
    assert pauses >= len(body) // MIB


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzipped(b"a" * 20_000_000)),
        ("deflate", zlib.compress(b"a" * 20_000_000)),
        ("br", brotli.compress(b"a" * 20_000_000)),
        ("zstd", zstd(b"a" * 20_000_000)),
    ],
)
def test_little_is_decoded_between_two_pauses(coding: str, bomb: bytes) -> None:
    pieces = decode(bomb, (coding,), 64 * MIB)
    tracemalloc.start()
    try:
        next(pieces)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 4 * MIB


def test_many_members_are_decoded_in_pieces() -> None:
    result, pauses = count_pauses(decode(gzipped(b"") * 5_000, ("gzip",), 100))

    assert result == b""
    assert pauses > 5


@every_coding
def test_a_body_that_ends_in_any_piece_is_truncated(coding: str, encode: Encode) -> None:
    encoded = encode(VARIED[:400_000])
    for end in (1_000, 70_000, 300_000, len(encoded) - 1):
        assert status_of(encoded[:end], (coding,), MIB) == 400


@every_coding
def test_nothing_follows_a_large_body(coding: str, encode: Encode) -> None:
    encoded = encode(b"a" * 1_000_000)

    assert status_of(encoded + b"x", (coding,), MIB) == 400
    assert status_of(encoded + b"x" * 200_000, (coding,), MIB) == 400
