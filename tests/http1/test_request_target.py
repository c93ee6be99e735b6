from __future__ import annotations

import pytest

from mockllm.errors import HTTPError
from mockllm.http1.request_target import is_host, resolve


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/", "/", ""),
        ("http://h", "/", ""),
        ("http://h?x", "/", "x"),
        ("HTTPS://h:8/a%62?%62", "/ab", "%62"),
        ("/a%2Fb%41", "/a%2FbA", ""),
        ("/v1/models/org/m:1[x]|{y}", "/v1/models/org/m:1[x]|{y}", ""),
    ],
)
def test_a_target_is_a_path_and_a_query(target: str, path: str, query: str) -> None:
    assert resolve("GET", target) == (path, query)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        *(
            ("GET", target, 400)
            for target in ("", "a", "*", "/a#b", "/%", "/%4", "/a b", "/a<", "ftp://h/")
        ),
        *(
            ("GET", target, 400)
            for target in ("http://", "http://u@h/", "http://h:x/", "http:///a")
        ),
        ("CONNECT", "h:1", 501),
        *(("CONNECT", target, 400) for target in ("h", "/", "*", ":1")),
    ],
)
def test_an_invalid_target_is_refused(method: str, target: str, status: int) -> None:
    with pytest.raises(HTTPError) as caught:
        resolve(method, target)

    assert caught.value.status == status


def test_options_may_be_about_the_whole_server() -> None:
    assert resolve("OPTIONS", "*") == ("*", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in (b"", b"h", b"h:1", b"a.b:", b"[::1]:8", b"[v1.x]", b"a%20")),
        *((value, False) for value in (b"a b", b"h:x", b"[::1", b"[z]", b"a/b", b"u@h", b"1:2:3")),
    ],
)
def test_a_host_is_valid_or_not(value: bytes, expected: bool) -> None:
    assert is_host(value) is expected
