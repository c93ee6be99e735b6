from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockllm import heads
from mockllm.errors import HTTPError
from mockllm.heads import LONGEST_REMEMBERED, MOST_HEADS, Head, Heads, parse
from mockllm.limits import Limits

REQUEST_LINES = [
    b"POST /v1/chat/completions HTTP/1.1",
    b"GET /health?a=1 HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET  / HTTP/1.1",
    b"GET / HTTP/2.0",
    b"G\x00T / HTTP/1.1",
    b"GET /\xff HTTP/1.1",
    b"",
]
NAMES = [
    *(b"Host", b"host", b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection"),
    *(b"Expect", b"Upgrade", b"X-Request-Id", b"x-request-id", b"Authorization", b"bad name"),
    *(b" folded", b"", b"x\x00", b"traceparent", b"TE"),
]
VALUES = [
    *(b"h", b"", b"5", b"05", b"+5", b"5, 5", b"99999999999999999999999", b"chunked", b"gzip"),
    *(
        b"close",
        b"keep-alive",
        b"100-continue",
        b"a b\tc",
        b"\x01",
        b"caf\xc3\xa9",
        b"x\ny",
        b"x\ry",
    ),
    *(b"req-1", b"req-2", b"websocket", b"x: y", b"\x7f", b"a\x0bb"),
]


def header_lines() -> st.SearchStrategy[bytes]:
    """Lines as clients and attackers write them."""
    return st.builds(
        lambda name, colon, value: name + colon + value,
        st.sampled_from(NAMES),
        st.sampled_from([b": ", b":", b" : ", b":  \t", b""]),
        st.one_of(st.sampled_from(VALUES), st.binary(max_size=4)),
    )


def raw_heads() -> st.SearchStrategy[bytes]:
    """Heads, most of them with a host, some mutated beyond recognition."""
    lines = st.tuples(
        st.sampled_from(REQUEST_LINES),
        st.lists(st.one_of(st.just(b"Host: h"), header_lines()), max_size=6),
    )
    return st.builds(
        lambda parts, end, last: end.join((parts[0], *parts[1])) + last,
        lines,
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
        st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\n\n"]),
    )


Outcome = Head | tuple[int, str]


def asked(data: bytes) -> Outcome:
    """What h11 makes of a head."""
    try:
        return parse(data, Limits())
    except HTTPError as exc:
        return exc.status, exc.message


def recalled(memory: Heads, data: bytes) -> Outcome:
    """What a server makes of a head: by memory where it can."""
    try:
        return memory.read(data)
    except HTTPError as exc:
        return exc.status, exc.message


@settings(max_examples=500)
@given(st.lists(raw_heads(), min_size=1, max_size=6), st.randoms(use_true_random=False))
@example(
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 2\r\n 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 2\nX-A: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A\r\n\r\n",
    ],
    None,
)
def test_what_is_recalled_is_what_h11_says(sequence: Sequence[bytes], random: object) -> None:
    order = [*sequence, *sequence, *sequence]
    if random is not None:
        random.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    memory = Heads()

    assert [recalled(memory, data) for data in order] == [asked(data) for data in order]


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"POST /p HTTP/1.1", b"Host: h", *lines)) + b"\r\n\r\n"


def known(*lines: bytes) -> Heads:
    """A memory that has seen one head."""
    memory = Heads()
    recalled(memory, head(*lines))
    return memory


def test_a_head_seen_before_is_recalled_whole() -> None:
    memory = known(b"X-Id: 1")

    assert memory._whole[head(b"X-Id: 1")] == asked(head(b"X-Id: 1"))


def test_a_new_value_of_a_known_name_needs_no_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = known(b"X-Id: 1", b"Content-Length: 0")
    expected = asked(head(b"Content-Length: 12", b"X-Id: 00-4bf92f3577b34da6-01"))
    monkeypatch.setattr(heads, "parse", None)

    recalled_head = memory.recall(head(b"Content-Length: 12", b"X-Id: 00-4bf92f3577b34da6-01"))

    assert recalled_head == expected


@pytest.mark.parametrize(
    "line",
    [
        b"X-New: 1",
        b"x-id: 2",  # spelled as h11 has not seen it
        b"X-Id: caf\xc3\xa9",
        b"X-Id: \x00",
        b"Content-Length: 1a",
        b"Content-Length: 1234567890123456",
    ],
)
def test_anything_else_is_for_h11(line: bytes) -> None:
    memory = known(b"X-Id: 1", b"Content-Length: 0")

    assert memory.recall(head(line)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"X-A: 1\r\nX-A: 2",
        b"X-Long: " + b"a" * LONGEST_REMEMBERED,
    ],
)
def test_an_unusual_head_is_never_remembered(line: bytes) -> None:
    memory = known(line)

    assert memory.recall(head(line)) is None


def test_a_head_recalled_by_its_lines_twice_is_kept_whole() -> None:
    memory = known(b"X-Id: 1")

    seen = []
    for _ in range(2):
        memory.recall(head(b"X-Id: 2"))
        seen.append(head(b"X-Id: 2") in memory._whole)

    assert seen == [False, True]


def test_a_client_that_never_repeats_himself_fills_nothing_forever() -> None:
    memory = Heads()
    for number in range(3 * MOST_HEADS):
        recalled(memory, head(b"X-%d: 1" % number) if number % 2 else head(b"X-Id: %d" % number))

    assert len(memory._whole) <= MOST_HEADS
    assert len(memory._seen) <= MOST_HEADS
    assert len(memory._lines) <= heads.MOST_LINES + 2
    assert len(memory._names) <= heads.MOST_LINES + 2


def test_nothing_is_remembered_where_it_is_not_wanted() -> None:
    memory = Heads(reuse=False)

    memory.read(head(b"X-Id: 1"))

    assert memory.recall(head(b"X-Id: 1")) is None
