from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Ending, Reply, Step
from mockllm.http1.framing import MAX_READY, SLICE, Framing, frames
from mockllm.wire import placeholders

STREAM = placeholders.stream(200, ((b"date", placeholders.DATE),), [b"a", b"bb"])
WHOLE = placeholders.whole(404, ((b"x-a", b"1"),), b"gone")


def sent(reply: Reply, **options: bool) -> list[bytes]:
    return [step.data for step in frames(reply, **options)]


def test_a_whole_reply_announces_its_length() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nx-a: 1\r\ncontent-length: 4\r\n\r\n"

    assert sent(WHOLE) == [head, b"gone", b""]


def test_a_reply_without_a_body_has_no_length() -> None:
    reply = Reply(204, ((b"x-a", b"1"),), ())
    head = b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n"

    assert b"".join(sent(reply)) == head
    assert ready(reply) == head


def test_a_streamed_reply_is_one_chunk_a_step() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ndate: " + placeholders.DATE + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    assert sent(STREAM) == [head, b"1\r\na\r\n", b"2\r\nbb\r\n", b"0\r\n\r\n"]


def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\ndate: " + placeholders.DATE + b"\r\nConnection: close\r\n\r\n"

    assert sent(STREAM, is_http11=False) == [head, b"a", b"bb", b""]


def test_a_close_is_announced() -> None:
    assert b"\r\nConnection: close\r\n" in sent(WHOLE, close=True)[0]


@pytest.mark.parametrize("reply", [WHOLE, STREAM])
def test_nothing_follows_the_head_where_the_method_was_head(reply: Reply) -> None:
    (head,) = sent(reply, head_only=True)

    assert head.endswith(b"\r\n\r\n")
    assert b"gone" not in head


def test_pauses_are_kept() -> None:
    steps = (Step(0.5, b"a"), Step(1.5, b"b"))

    pauses = [step.pause for step in frames(Reply(200, (), steps, streamed=True))]

    assert pauses == [0, 0.5, 1.5, 0]


def test_a_stream_that_is_cut_lacks_its_end() -> None:
    reply = Reply(200, (), (Step(0, b"a"),), Ending.CUT, streamed=True)

    assert sent(reply)[1:] == [b"1\r\na\r\n"]


def test_a_stream_without_steps_has_a_head_and_an_end() -> None:
    reply = Reply(200, (), (), streamed=True)

    assert sent(reply) == [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n\r\n",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_large_data_is_cut_but_never_in_a_placeholder(streamed: bool) -> None:
    data = b"a" * (SLICE - 3) + placeholders.UNIQUE_ID + placeholders.SECONDS + b"b" * SLICE
    reply = Reply(200, (), (Step(0.5, data),), streamed=streamed)

    parts = sent(reply)

    assert max(map(len, parts)) < SLICE + len(placeholders.UNIQUE_ID)
    assert sum(part.count(placeholders.UNIQUE_ID) for part in parts) == 1
    assert sum(part.count(placeholders.SECONDS) for part in parts) == 1
    assert data in b"".join(parts)
    assert sum(step.pause for step in frames(reply)) == 0.5


replies = st.builds(
    Reply,
    st.sampled_from([200, 404, 529]),
    st.sampled_from([(), ((b"date", placeholders.DATE), (b"x-a", b"1"))]),
    st.lists(
        st.builds(Step, st.sampled_from([0.0, 0.0, 0.0, 0.5]), st.binary(max_size=40)), max_size=4
    ).map(tuple),
    st.sampled_from([Ending.COMPLETE, Ending.COMPLETE, Ending.CUT, Ending.RESET]),
    st.booleans(),
)


def ready(reply: Reply) -> bytes | None:
    return Framing(reply).ready([step.data for step in reply.steps])


@given(replies)
def test_ready_bytes_equal_framed_bytes(reply: Reply) -> None:
    at_once = reply.ending is Ending.COMPLETE and not any(step.pause for step in reply.steps)

    assert ready(reply) == (b"".join(sent(reply)) if at_once else None)


def test_a_large_reply_is_not_ready() -> None:
    assert ready(placeholders.whole(200, (), bytes(MAX_READY + 1))) is None
