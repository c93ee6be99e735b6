from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import HTTPError
from mockllm.exchange import Request
from mockllm.http1 import connection as connection_module
from mockllm.http1.connection import HTTPConnection
from mockllm.http1.head_cache import HeadCache
from mockllm.http1.heads import Head
from mockllm.limits import KIB, Limits

LIMITS = Limits()
LENGTH = (
    b"POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a: two\r\nContent-Length: 5\r\n\r\n"
    b"hello"
)
CHUNKED = (
    b"POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\ntrailer: t\r\n\r\n"
)
BARE = b"GET /g HTTP/1.1\r\nhost: h\r\n\r\n"
OLD = b"GET /old HTTP/1.0\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Close\r\n\r\n"
OPEN = b"GET /open HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
CLOSING = (OLD, LAST)


def read(
    *parts: bytes, heads: HeadCache | None = None, first: bool = False
) -> tuple[list[Request], bool]:
    """The requests in `parts`, and whether the connection closes after them. With
    `heads`, what is remembered from earlier connections is used; with `first`, what an idle
    connection receives is received as such."""
    connection = HTTPConnection(heads or HeadCache())
    requests = []
    for part in parts:
        requests += receive(connection, part, first=first)
    return requests, connection.closes


def receive(connection: HTTPConnection, part: bytes, *, first: bool) -> list[Request]:
    """The requests that `part` completes."""
    if first and connection.is_idle:
        request = connection.receive_first(part)
    else:
        connection.receive_data(part)
        request = connection.next_request()
    requests = []
    while request is not None:
        requests.append(request)
        request = connection.next_request()
    return requests


def outcome(*parts: bytes, heads: HeadCache | None = None, first: bool = False) -> object:
    """The result of `read`; an error is its status and text."""
    try:
        return read(*parts, heads=heads, first=first)
    except HTTPError as exc:
        return exc.status, exc.message


def test_a_request_is_read_whole() -> None:
    (request,), closes = read(LENGTH)

    headers = ((b"host", b"h"), (b"x-a", b"one"), (b"x-a", b"two"), (b"content-length", b"5"))
    assert request == Request.of("POST", "/v1/x", headers, b"hello", query="a=1")
    assert request.first_values[b"x-a"] == b"one"
    assert not closes


@given(
    messages=st.lists(st.sampled_from([LENGTH, CHUNKED, BARE, OLD, LAST, b"\r\n", b"?\r\n\r\n"])),
    cuts=st.sets(st.integers(0, 400), max_size=5),
    known=st.booleans(),
)
def test_what_comes_first_is_read_as_all_else(
    messages: list[bytes], cuts: set[int], known: bool
) -> None:
    stream = b"".join(messages)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[start:end] for start, end in itertools.pairwise(places)]
    heads = [HeadCache(), HeadCache()]
    if known:
        for cache in heads:
            read(LENGTH, LENGTH, BARE, BARE, heads=cache)

    plain, at_first = (
        outcome(*parts, heads=cache, first=first)
        for cache, first in zip(heads, (False, True), strict=True)
    )

    assert at_first == plain


@pytest.mark.parametrize("message", [LENGTH, CHUNKED, BARE, OLD, LAST, b"\r\n\r\n" + BARE + LENGTH])
def test_a_request_split_anywhere_is_the_same(message: bytes) -> None:
    whole = read(message)

    assert all(read(message[:at], message[at:]) == whole for at in range(1, len(message)))
    assert read(*(message[at : at + 1] for at in range(len(message)))) == whole


PIECES = [LENGTH, CHUNKED, BARE, b"\r\n", b"G@RB\x00GE\r\n\r\n"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=5),
    st.lists(st.integers(min_value=0, max_value=600)),
)
def test_cached_heads_change_no_request(parts: list[bytes], cuts: list[int]) -> None:
    heads = HeadCache()
    for piece in (LENGTH.replace(b"one", b"two"), BARE, BARE):
        outcome(piece, heads=heads)
    stream = b"".join(parts)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]

    assert outcome(*pieces, heads=heads) == outcome(stream)
    assert outcome(*parts, heads=heads) == outcome(stream)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n" + b"a" * 11, 413),
        (b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", 413),
        (b"POST /p HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 100 + b"\r\n\r\n", 431),
    ],
)
def test_limits_hold_for_cached_heads_too(request_: bytes, status: int) -> None:
    limits = Limits(head=100, body=10)
    heads = HeadCache(limits)
    connection = HTTPConnection(heads, limits)
    connection.receive_data(b"POST /p HTTP/1.1\r\nHost: h\r\nX-A: b\r\nContent-Length: 1\r\n\r\nc")
    assert connection.next_request() is not None
    connection.receive_data(request_)

    with pytest.raises(HTTPError) as caught:
        connection.next_request()

    assert caught.value.status == status


def test_a_head_that_comes_before_its_body_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As official clients send it: the head in one piece, the body in another."""
    heads = HeadCache()
    read(LENGTH, heads=heads)
    asked: list[bytes] = []
    recall = heads.recall

    def noted(data: bytes) -> Head | None:
        asked.append(data)
        return recall(data)

    monkeypatch.setattr(heads, "recall", noted)
    at = LENGTH.index(b"hello")

    for number in (b"1", b"2"):
        head = LENGTH[:at].replace(b"one", number)
        requests, _ = read(head, b"hello", heads=heads)
        assert [request.body for request in requests] == [b"hello"]

    assert len(asked) == 2
    assert len(heads._whole) == 1  # the others have come only once


@given(
    st.lists(st.sampled_from(PIECES), max_size=5),
    st.lists(st.integers(min_value=0, max_value=600)),
)
def test_pipelined_requests_split_anywhere_are_the_same(
    parts: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(parts)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]

    assert outcome(*pieces) == outcome(stream)


@pytest.mark.parametrize(
    ("message", "paths", "closes"),
    [
        (BARE + CHUNKED + LENGTH, ["/g", "/c", "/v1/x"], False),
        (BARE + OLD + BARE, ["/g", "/old"], True),
        (LAST + BARE, ["/last"], True),
        (LAST, ["/last"], True),
        (b"\r\n" + BARE + b"\r\n\n" + BARE, ["/g", "/g"], False),
        (BARE[:-1], [], False),
    ],
)
def test_pipelined_requests_are_read_until_a_close(
    message: bytes, paths: list[str], closes: bool
) -> None:
    requests, closed = read(message)

    assert ([request.path for request in requests], closed) == (paths, closes)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: h\r\nbad name: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"GET /" + b"a" * LIMITS.head, 414),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * LIMITS.head, 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * LIMITS.head + b"\r\n\r\n", 431),
    ],
)
def test_an_invalid_request_is_refused(message: bytes, status: int) -> None:
    connection = HTTPConnection(HeadCache())
    connection.receive_data(message)

    with pytest.raises(HTTPError) as caught:
        connection.next_request()

    assert caught.value.status == status
    assert connection.closes
    connection.receive_data(BARE)
    assert connection.next_request() is None


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (b"\x01abc", ""),
        (b"nonsense\r\n\r\n", ""),
        (b"GET /" + b"a" * LIMITS.head, "/" + "a" * (LIMITS.head - len("GET /"))),
        (BARE[:-2] + b"x: " + b"a" * LIMITS.head, "/g"),
        (b"GET /v1/models HTTP/1.1\r\n\r\n", "/v1/models"),
        (b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Encoding: x\r\n\r\n", "/v1/messages"),
    ],
)
def test_an_invalid_request_is_described_by_its_own_head(bad: bytes, path: str) -> None:
    connection = HTTPConnection(HeadCache())
    connection.receive_data(LENGTH)
    assert connection.next_request() is not None
    connection.receive_data(bad)

    with pytest.raises(HTTPError):
        connection.next_request()

    assert connection.current_request.path == path


@given(st.lists(st.integers(0, 999), max_size=9))
def test_large_bodies_split_anywhere_are_the_same(cuts: list[int]) -> None:
    data = LENGTH + LENGTH + CHUNKED + LENGTH
    ends = sorted({cut % len(data) for cut in cuts} | {len(data)})
    parts = [data[start:end] for start, end in itertools.pairwise([0, *ends])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "MAX_JOINED", 0)

        assert read(*parts) == read(data)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_is_in_memory_once(*, is_chunked: bool) -> None:
    """A copy of 60 MB at its end held the loop for 42 ms."""
    size, number = 64 * KIB, 64
    coding = (
        b"transfer-encoding: chunked" if is_chunked else b"content-length: %d" % (size * number)
    )
    connection = HTTPConnection(HeadCache())
    connection.receive_data(b"POST / HTTP/1.1\r\nhost: h\r\n%b\r\n\r\n" % coding)
    assert connection.next_request() is None

    tracemalloc.start()
    for _ in range(number):
        assert connection.next_request() is None
        piece = b"x" * size
        connection.receive_data(b"%x\r\n%b\r\n" % (size, piece) if is_chunked else piece)
    if is_chunked:
        assert connection.next_request() is None
        connection.receive_data(b"0\r\n\r\n")
    request = connection.next_request()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert request is not None
    assert request.body == b"x" * (size * number)
    assert peak < 1.5 * size * number


def test_a_refused_body_is_discarded() -> None:
    connection = HTTPConnection(HeadCache())
    connection.receive_data(CHUNKED[:-30] + b"zz\r\n")

    with pytest.raises(HTTPError):
        connection.next_request()

    assert connection.unread == 0


def test_a_chunked_body_beyond_the_limit_is_refused() -> None:
    connection = HTTPConnection(HeadCache(), Limits(body=4))
    connection.receive_data(CHUNKED)

    with pytest.raises(HTTPError, match="larger than 4 bytes"):
        connection.next_request()


def test_a_waiting_client_gets_one_100_continue() -> None:
    connection = HTTPConnection(HeadCache())
    head, body = LENGTH.replace(b"X-A:", b"Expect: 100-continue\r\nX-A:").split(b"\r\n\r\n")
    connection.receive_data(head + b"\r\n\r\n")

    assert connection.next_request() is None
    assert [connection.wants_continue(), connection.wants_continue()] == [True, False]
    connection.receive_data(body)
    assert connection.next_request() is not None


def test_a_connection_is_idle_between_requests_only() -> None:
    connection = HTTPConnection(HeadCache())
    seen = [connection.is_idle]
    for part in (LENGTH[:9], LENGTH[9:-2], LENGTH[-2:]):
        connection.receive_data(part)
        connection.next_request()
        seen.append(connection.is_idle)

    assert seen == [True, False, False, True]


@given(
    messages=st.lists(st.sampled_from([LENGTH, CHUNKED, BARE, OLD, OPEN, LAST]), min_size=1),
    cuts=st.sets(st.integers(1, 400)),
    first=st.booleans(),
    known=st.booleans(),
)
def test_what_a_connection_notes_of_itself_is_true(
    messages: list[bytes], cuts: set[int], first: bool, known: bool
) -> None:
    stream = b"".join(messages)
    ends = dict(zip(itertools.accumulate(map(len, messages)), messages, strict=True))
    heads = {end - len(each) + each.index(b"\r\n\r\n") + 4 for end, each in ends.items()}
    closes_at = next((end for end, each in ends.items() if each in CLOSING), len(stream) + 1)
    connection = HTTPConnection(HeadCache())
    for request in (LENGTH, CHUNKED, BARE, OPEN) if known else ():
        receive(connection, request, first=first)

    places = sorted({0, len(stream), *ends, *heads, *(cut for cut in cuts if cut < len(stream))})
    for start, end in itertools.pairwise(places):
        receive(connection, stream[start:end], first=first)

        assert connection.is_idle == (end in ends and end < closes_at)
        if end in ends:
            assert connection.stays_open == (end < closes_at and ends[end] != OPEN)


def test_what_comes_while_a_request_is_answered_is_noted_at_once() -> None:
    connection = HTTPConnection(HeadCache())
    connection.receive_first(BARE)
    connection.receive_data(BARE[:3])
    assert (connection.is_idle, connection.stays_open) == (False, True)

    connection.close()

    assert (connection.is_idle, connection.stays_open) == (False, False)


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\nhost: h\r\nAuthorization Bearer SECRET\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nAuthorization: a\x00SECRET\r\n\r\n",
        b"GET http://u:SECRET@h/ HTTP/1.1\r\nhost: h\r\n\r\n",
        b"CONNECT u:SECRET@h:443 HTTP/1.1\r\nhost: h\r\n\r\n",
        b"SECRET\r\n\r\n",
    ],
)
def test_a_refusal_quotes_nothing_that_may_be_a_credential(message: bytes) -> None:
    with pytest.raises(HTTPError) as caught:
        read(message)

    assert "SECRET" not in caught.value.message
