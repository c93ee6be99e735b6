"""Ready bytes: a delivery equals one whose placeholders are filled one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Headers, Reply
from mockllm.http1.framing import frames
from mockllm.replies.headers import HeaderLines
from mockllm.replies.ready import ReadyBytes
from mockllm.wire import placeholders
from mockllm.wire.placeholders import FreshValues

PIECES = st.sampled_from(
    [
        *(b"x", b"", b"\r\n"),
        *(placeholders.UNIQUE_ID, placeholders.SECONDS),
        *(placeholders.DATE, placeholders.ELAPSED_MS),
    ]
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.sampled_from([b"1", b"2"])))
def test_ready_bytes_are_filled_in_as_plain_bytes(data: bytes, seconds: list[bytes]) -> None:
    ready = ReadyBytes.of(data)

    for number, second in enumerate(seconds):
        elapsed_ms = b"%d" % (number % 3 * 499)
        fresh = FreshValues(b"%020x" % number, second * 10, second * 29, elapsed_ms)
        assert ready.finish(fresh) == placeholders.fill_fresh(data, fresh)


LINES: Headers = ((b"limit", b"9"), (b"left", b"8%"), (b"other", b"7"))
MORE: Headers = ((b"left", b"7"), (b"a%b", b"%b"), (b"date", placeholders.DATE))
bodies = st.lists(PIECES | st.just(b"%b\r\n\r\nlimit: 9\r\n"), max_size=5).map(b"".join)
deliveries = st.lists(
    st.tuples(
        st.integers(0, 1),  # which lines
        st.lists(st.sampled_from([b"", b"9", b"%b", b"12345"]), min_size=3, max_size=3),
        st.sampled_from([b"1", b"2"]),  # seconds
        st.sampled_from([b"1", b"1", b"1", b"998"]),  # milliseconds
    ),
    max_size=8,
)


@given(st.permutations([*LINES, *MORE, (b"id", placeholders.UNIQUE_ID)]), bodies, deliveries)
def test_ready_bytes_have_the_lines_of_the_reply(
    headers: Headers, body: bytes, asked: list[tuple[int, list[bytes], bytes, bytes]]
) -> None:
    reply = Reply.whole(200, tuple(headers), body)
    ready = ReadyBytes.of(_framed(reply))
    kinds = HeaderLines(LINES), HeaderLines((LINES[2], LINES[0]))
    for number, (kind, values, second, elapsed_ms) in enumerate(asked):
        lines = kinds[kind]
        own = values[: len(lines.lines)]
        fresh = FreshValues(b"%020x" % number, second * 10, second * 29, elapsed_ms)

        finished = ready.with_lines(lines, own).finish(fresh)

        assert finished == placeholders.fill_fresh(_framed(lines.replace(reply, own)), fresh)


def _framed(reply: Reply) -> bytes:
    return b"".join(frame.data for frame in frames(reply))
