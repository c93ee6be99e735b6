from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.coding import gunzip
from mockllm.errors import HTTPError

PACKED = gzip.compress(b"hello", mtime=0)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_members_are_joined(parts: list[bytes]) -> None:
    assert gunzip(b"".join(map(gzip.compress, parts)), 600) == b"".join(parts)


@pytest.mark.parametrize(
    "data", [b"", b"hello", PACKED[:-1], PACKED[:-8] + bytes(8), PACKED + b"x"]
)
def test_what_is_no_gzip_is_refused(data: bytes) -> None:
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
