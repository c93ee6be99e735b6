from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import HTTPError
from mockllm.http1 import content_coding
from mockllm.http1.content_coding import MAX_MEMBERS, gunzip

PACKED = gzip.compress(b"hello", mtime=0)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.sampled_from([1, 7, 4096]))
def test_members_are_joined(parts: list[bytes], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_coding, "_PIECE", piece)
        assert gunzip(b"".join(map(gzip.compress, parts)), 600) == b"".join(parts)


def test_a_large_body_is_whole() -> None:
    body = random.Random(0).randbytes(100_000)  # noqa: S311  # no secret
    assert gunzip(gzip.compress(body) * 2, 200_000) == body * 2


def test_gzip_of_too_many_members_is_refused() -> None:
    assert gunzip(PACKED * MAX_MEMBERS, 100_000) == b"hello" * MAX_MEMBERS
    with pytest.raises(HTTPError, match="more than 10,000 members") as caught:
        gunzip(PACKED * (MAX_MEMBERS + 1), 100_000)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "data", [b"", b"hello", PACKED[:-1], PACKED[:-8] + bytes(8), PACKED + b"x"]
)
def test_invalid_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(HTTPError) as caught:
        gunzip(data, 100)

    assert caught.value.status == 400


@pytest.mark.parametrize(
    "data", [gzip.compress(bytes(101), mtime=0), gzip.compress(bytes(60), mtime=0) * 2]
)
def test_a_bomb_is_refused(data: bytes) -> None:
    with pytest.raises(HTTPError) as caught:
        gunzip(data, 100)

    assert caught.value.status == 413
