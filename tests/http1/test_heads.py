from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import h11
import pytest

from mockllm.errors import HTTPError
from mockllm.exchange import Headers
from mockllm.http1 import heads
from mockllm.http1.heads import MAX_CACHED_VALUE, glimpse, parse
from mockllm.limits import Limits


@pytest.mark.parametrize("judge", [heads._members_of, heads._is_host])
def test_a_verdict_on_a_long_value_is_not_cached(judge: Callable[[bytes], object]) -> None:
    tracemalloc.start()
    try:
        for number in range(100):
            judge(b"%d," % number + b"a," * MAX_CACHED_VALUE * 10)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 20_000


@pytest.mark.parametrize(
    ("data", "method", "path", "headers"),
    [
        (b"", "", "", ()),
        (b"\x16\x03\x01", "", "", ()),
        (b"POST /v1/mess", "POST", "/v1/mess", ()),
        (b"POST /v1/a?b=c HTTP/1.1\r\nA: b\r\nC", "POST", "/v1/a", ((b"a", b"b"),)),
        (b"\r\nGET http://h/v1/a HTTP/9\nA: b \nnothing\n\n", "GET", "/v1/a", ((b"a", b"b"),)),
        (b"GET //[ HTTP/1.1\r\n", "GET", "//[", ()),
        (b"GET v1 HTTP/1.1\r\n", "", "", ()),
        (b"POST /v1/messages?% HTTP/1.1\r\nA: b\r\n", "POST", "/v1/messages", ((b"a", b"b"),)),
        (b"POST /v1/%?a HTTP/1.1\r\n", "", "", ()),
    ],
)
def test_a_glimpse_shows_what_can_be_read(
    data: bytes, method: str, path: str, headers: Headers
) -> None:
    found = glimpse(data)
    assert (found.method, found.path, found.headers) == (method, path, headers)


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (b"", 400, "missing or invalid Host header"),
        (b"Host: a\r\nHost: b\r\n", 400, "more than one Host header"),
        (
            b"Host: a\r\nTransfer-Encoding: gzip\r\n",
            501,
            "unsupported Transfer-Encoding; only chunked is supported",
        ),
        (b"Host: a\r\nsecret: \0\r\n", 400, "illegal header line"),
    ],
)
def test_a_head_that_h11_rejects_has_its_reason(lines: bytes, status: int, reason: str) -> None:
    with pytest.raises(HTTPError) as raised:
        parse(b"GET / HTTP/1.1\r\n" + lines + b"\r\n", Limits())

    found = (raised.value.status, raised.value.message)
    assert found == (status, f"Not a valid HTTP request: {reason}")


@pytest.mark.parametrize("line", [b"a: b\r\n", b" folded\r\n", b"a: b\n"])
def test_a_head_of_countless_lines_is_refused_before_it_is_parsed(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11, "Connection", None)  # it is not asked
    data = b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n" + line * 1_000 + b"\r\n"

    with pytest.raises(HTTPError) as refused:
        heads.parse(data, Limits())

    assert refused.value.status == 431
