from __future__ import annotations

import itertools
import tracemalloc

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import HTTPError
from mockllm.http1.chunks import MAX_PARTS, ChunkedBody
from mockllm.limits import Limits

Outcome = tuple[bytes, bytes] | int | None
LIMITS = Limits(body=1000, head=400, headers=5)

SIZES = st.sampled_from(
    [b"3", b"0003", b"2", b"4", b"a", b"0", b"x", b"", b"-1", b"3e9", b"f" * 20]
)
EXTENSIONS = st.sampled_from(
    [b"", b";a", b";a=b", b' ; a = "b\\""', b";", b";a\x00", b" ", b";a\rb"]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
CHUNKS = st.builds(lambda *parts: b"".join(parts), SIZES, EXTENSIONS, ENDS, st.just(b"abc"), ENDS)
TRAILERS = st.sampled_from([b"", b"a: b\r\n", b"a\r\n", b"a: \x00\r\n", b"a: b\r\n" * 6, b"a: b\n"])
BODIES = st.builds(
    lambda chunks, trailers, end, rest: b"".join((*chunks, b"0\r\n", trailers, end, rest)),
    st.lists(CHUNKS, max_size=3),
    TRAILERS,
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\n\n"]),
    st.sampled_from([b"", b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"]),
)


def feed(chunks: ChunkedBody, data: bytes) -> int:
    """Feed all of `data`; returns how often."""
    chunks.feed(data)
    times = 1
    while chunks.has_more:
        chunks.feed(b"")
        times += 1
    return times


def read(*parts: bytes) -> Outcome:
    """The body and what came behind it, the status of a refusal, or None: more is needed."""
    chunks = ChunkedBody(LIMITS)
    try:
        for at, part in enumerate(parts):
            feed(chunks, part)
            if chunks.is_whole:
                return chunks.body, chunks.rest + b"".join(parts[at + 1 :])
    except HTTPError as exc:
        return exc.status
    return None


def read_by_h11(data: bytes) -> Outcome:
    """The outcome of the same bytes in h11."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.EndOfMessage):
                return body, connection.trailing_data[0]
            if event is h11.NEED_DATA:
                return None
            assert isinstance(event, h11.Data)
            body += event.data
    except h11.RemoteProtocolError as exc:
        return exc.error_status_hint


@given(BODIES)
def test_chunked_bodies_equal_those_of_h11(data: bytes) -> None:
    ours, theirs = read(data), read_by_h11(data)

    if isinstance(ours, tuple) and b" ;" not in data:  # h11 takes no white space before it
        assert ours == theirs
    if isinstance(theirs, int) and b" ;" not in data:
        assert isinstance(ours, int)


@given(BODIES, st.lists(st.integers(0, 120)))
def test_chunks_split_anywhere_are_the_same(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    assert read(*(data[a:b] for a, b in itertools.pairwise(places))) == read(data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"3e9\r\n", 413),
        (b"3\r\nabc\r\n" * 334, 413),
        (b"3;" + b"a" * 5_000, 400),
        (b"".join(b"1;%b\r\nx\r\n" % (b"a" * 4_000) for _ in range(5)), 431),
        (b"0\r\n" + b"a: b\r\n" * 6 + b"\r\n", 431),
        (b"0\r\na: " + b"b" * 400, 431),
        (b"3\r\nabcd", 400),
        (b"0\r\n\n", 400),
        (b"0\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"g", None),
        (b"g\r\n", 400),
    ],
)
def test_bodies_beyond_a_limit_are_refused(data: bytes, status: int | None) -> None:
    assert read(data) == status
    assert read(*(data[at : at + 1] for at in range(len(data)))) == status


def test_an_announced_chunk_does_not_count_as_received() -> None:
    chunks = ChunkedBody(LIMITS)
    chunks.feed(b"3\r\nabc\r\n100\r\nde")

    assert chunks.received == 5


def test_tiny_chunks_cost_the_memory_of_their_data() -> None:
    chunks = ChunkedBody(Limits())
    data = b"2\r\nab\r\n" * 50_000
    tracemalloc.start()
    try:
        feed(chunks, data)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert chunks.body == b"ab" * 50_000
    assert grown < 3 * len(chunks.body)


def test_many_tiny_chunks_are_decoded_some_at_a_time() -> None:
    chunks = ChunkedBody(Limits())

    assert feed(chunks, b"1\r\na\r\n" * 10_000 + b"0\r\n\r\nGET /") >= 30_000 // MAX_PARTS
    assert chunks.is_whole
    assert chunks.body == b"a" * 10_000
    assert chunks.rest == b"GET /"


@pytest.mark.parametrize("count", range(MAX_PARTS // 3 - 2, MAX_PARTS // 3 + 2))
@pytest.mark.parametrize("trailers", [b"", b"a: b\r\n"])
def test_what_follows_a_body_is_found_wherever_decoding_pauses(count: int, trailers: bytes) -> None:
    data = b"1\r\na\r\n" * count + b"0\r\n" + trailers + b"\r\nGET /"

    assert read(data) == (b"a" * count, b"GET /")
    for cut in range(len(data) - 20, len(data)):
        assert read(data[:cut], data[cut:]) == (b"a" * count, b"GET /")
