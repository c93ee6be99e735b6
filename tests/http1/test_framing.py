from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import COMPLETE, Ending, EndingKind, Pacing, PoolRule, Reply, Step
from mockllm.http1.framing import MAX_READY, FastFraming, Frame, fastest_frames, frames, hold_head
from mockllm.wire import placeholders

STREAM = Reply.stream(200, ((b"date", placeholders.DATE),), [b"a", b"bb"])
WHOLE = Reply.whole(404, ((b"x-a", b"1"),), b"gone")


def sent(reply: Reply, **options: bool) -> list[bytes]:
    return [frame.data[: frame.size] for frame in frames(reply, **options)]


def test_a_whole_reply_announces_its_length() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nx-a: 1\r\ncontent-length: 4\r\n\r\n"

    assert sent(WHOLE) == [head, b"gone"]


def test_a_reply_without_a_body_has_no_length() -> None:
    reply = Reply(204, ((b"x-a", b"1"),), ())
    head = b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n"

    assert b"".join(sent(reply)) == head
    assert ready(reply) == head


def test_a_streamed_reply_has_one_chunk_per_step() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ndate: " + placeholders.DATE + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    assert sent(STREAM) == [head, b"1\r\na\r\n", b"2\r\nbb\r\n", b"0\r\n\r\n"]


def test_a_stream_to_an_http10_client_ends_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\ndate: " + placeholders.DATE + b"\r\nConnection: close\r\n\r\n"

    assert sent(STREAM, is_http11=False) == [head, b"a", b"bb"]


@pytest.mark.parametrize("is_http11", [True, False])
def test_a_body_that_is_generated_while_it_is_sent_has_no_length(is_http11: bool) -> None:
    lazy = Reply.lazy_whole(200, WHOLE.headers, lambda: [b"one", b"two"])

    sent = [frame.data for frame in frames(lazy, is_http11=is_http11)]

    assert not lazy.has_length
    assert lazy.body == b"onetwo"
    assert sent == [
        frame.data
        for frame in frames(Reply.stream(200, WHOLE.headers, [b"one", b"two"]), is_http11=is_http11)
    ]


def test_a_close_is_announced() -> None:
    assert b"\r\nConnection: close\r\n" in sent(WHOLE, close=True)[0]


@pytest.mark.parametrize("reply", [WHOLE, STREAM])
def test_a_reply_to_head_has_no_body(reply: Reply) -> None:
    (head,) = sent(reply, head_only=True)

    assert head.endswith(b"\r\n\r\n")
    assert b"gone" not in head


def test_pauses_are_kept() -> None:
    steps = (Step((b"a",), 0.5), Step((b"b",), 1.5))

    pauses = [step.pause for step in frames(Reply(200, (), steps, streamed=True))]

    assert pauses == [0, 0.5, 1.5, 0]


def test_a_stream_that_is_cut_lacks_its_end() -> None:
    reply = Reply(200, (), (Step((b"a",)),), Ending(EndingKind.CUT), streamed=True)

    assert sent(reply)[1:] == [b"1\r\na\r\n"]


def test_a_stream_without_steps_has_a_head_and_an_end() -> None:
    reply = Reply(200, (), (), streamed=True)

    assert sent(reply) == [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n\r\n",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_step_of_many_pieces_is_one_chunk_in_many_frames(streamed: bool) -> None:
    reply = Reply(200, (), (Step((b"a", b"bb", b"ccc"), 0.5),), streamed=streamed)

    body = sent(reply)[1:]

    chunk = [b"6\r\n", b"a", b"bb", b"ccc", b"\r\n", b"0\r\n\r\n"]
    assert body == (chunk if streamed else [b"a", b"bb", b"ccc"])
    assert [frame.pause for frame in frames(reply)][:3] == [0, 0.5, 0]


def test_the_pause_before_the_head_is_that_of_the_first_frame() -> None:
    reply = Reply(200, (), (Step((b"a",)),), before_head=1.5)

    assert [frame.pause for frame in frames(reply)] == [1.5, 0]
    assert ready(reply) is None


def test_a_reply_may_end_before_its_first_byte() -> None:
    reply = replace(WHOLE, ending=Ending(EndingKind.CUT, head=0), before_head=1.5)

    assert [(frame.pause, frame.size) for frame in frames(reply)] == [(1.5, 0)]
    assert sent(reply) == [b""]


def test_a_reply_may_end_in_the_middle_of_its_head() -> None:
    (head,) = sent(replace(STREAM, ending=Ending(EndingKind.CUT, head=0.5)))

    assert sent(STREAM)[0].startswith(head)
    assert len(head) == len(sent(STREAM)[0]) // 2


def test_a_preface_comes_before_the_head_as_it_is() -> None:
    reply = replace(WHOLE, preface=b"\0nonsense")
    head, *body = sent(reply)

    assert [head.removeprefix(b"\0nonsense"), *body] == sent(WHOLE)
    assert sent(replace(reply, ending=Ending(EndingKind.CUT, head=0))) == [b"\0nonsense"]
    assert ready(reply) is None


def test_a_reply_that_ends_at_a_time_has_its_whole_message() -> None:
    reply = replace(STREAM, ending=Ending(EndingKind.CUT, time=1.0))

    assert sent(reply) == sent(STREAM)
    assert ready(reply) is None


def test_a_cut_between_events_is_between_chunks() -> None:
    wire = b"".join(sent(replace(STREAM, ending=Ending(EndingKind.CUT, after=1))))

    assert wire.endswith(b"\r\n\r\n1\r\na\r\n")


def test_a_cut_in_a_placeholder_counts_bytes_of_its_value() -> None:
    unique = placeholders.UNIQUE_ID
    reply = Reply(200, (), (Step((b"a" + unique,)),), Ending(EndingKind.CUT, after=5))

    (_, cut) = frames(reply)

    assert (cut.data, cut.size) == (b"a" + unique, 5)


STEPS = st.lists(
    st.lists(st.binary(max_size=3).map(lambda data: b"x" * len(data)), min_size=1, max_size=3)
    .map(tuple)
    .map(Step),
    max_size=3,
).map(tuple)


@given(
    STEPS,
    st.integers(0, 12),
    st.booleans(),
    st.sampled_from([EndingKind.CUT, EndingKind.RESET, EndingKind.HANG]),
)
def test_a_reply_may_end_after_any_byte(
    steps: tuple[Step, ...], after: int, streamed: bool, kind: EndingKind
) -> None:
    reply = Reply(200, (), steps, Ending(kind, after), streamed)

    wire = b"".join(sent(reply))

    assert b"".join(sent(replace(reply, ending=COMPLETE))).startswith(wire)
    assert wire.count(b"x") == min(after, len(reply.body))


@given(STEPS, st.integers(0, 12), st.booleans())
def test_a_clean_ending_is_a_complete_http_message(
    steps: tuple[Step, ...], after: int, streamed: bool
) -> None:
    reply = Reply(200, (), steps, Ending(EndingKind.CLEAN, after), streamed)

    assert received(b"".join(sent(reply))) == reply.body[:after]


def received(wire: bytes) -> bytes:
    """The body of a whole message, by h11's client."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        body += bytes(event.data) if isinstance(event, h11.Data) else b""
    return body


replies = st.builds(
    Reply,
    st.sampled_from([200, 404, 529]),
    st.sampled_from([(), ((b"date", placeholders.DATE), (b"x-a", b"1"))]),
    st.lists(
        st.builds(
            lambda data, pause, gate: Step((data,), pause, gate=gate),
            st.binary(max_size=40),
            st.sampled_from([0.0, 0.0, 0.0, 0.5]),
            st.sampled_from(["", "", "", "g"]),
        ),
        max_size=4,
    ).map(tuple),
    st.sampled_from([COMPLETE, COMPLETE, Ending(EndingKind.CUT), Ending(EndingKind.RESET)]),
    st.booleans(),
)


def ready(reply: Reply) -> bytes | None:
    return FastFraming(reply).ready([step.data for step in reply.steps])


@given(replies)
def test_ready_bytes_equal_framed_bytes(reply: Reply) -> None:
    waits = any(step.pause or step.gate for step in reply.steps)
    at_once = reply.ending == COMPLETE and not waits

    assert ready(reply) == (b"".join(sent(reply)) if at_once else None)


def test_a_paced_reply_is_not_ready() -> None:
    assert ready(replace(WHOLE, pacing=Pacing(PoolRule(), 0.0, 0.0))) is None


timed = st.builds(
    lambda reply, timing, before_head: replace(
        reply,
        steps=tuple(
            step._replace(tokens=tokens, pieces=(step.data[:split], step.data[split:]))
            if split
            else step._replace(tokens=tokens)
            for step, (tokens, split) in zip(reply.steps, timing, strict=False)
        ),
        before_head=before_head,
    ),
    replies,
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 3])), min_size=4, max_size=4),
    st.sampled_from([0.0, 0.0, 1.5]),
)


def timetable(found: list[Frame]) -> list[tuple[float, int, int, bytes]]:
    """The bytes that are sent together: after all pauses, tokens and gates before them."""
    together: list[tuple[float, int, int, bytes]] = []
    pause, tokens, gates = 0.0, 0, 0
    for frame in found:
        pause, tokens, gates = pause + frame.pause, tokens + frame.tokens, gates + bool(frame.gate)
        if together and together[-1][:3] == (pause, tokens, gates):
            together[-1] = (pause, tokens, gates, together[-1][3] + frame.data)
        else:
            together.append((pause, tokens, gates, frame.data))
    return together


def test_what_opens_a_reply_comes_before_its_head() -> None:
    opening = (Step((b"<",), 1.0), Step((b"",), gate="g"))
    reply = replace(WHOLE, opening=opening, before_head=0.5)

    first, second, head, *_ = found = [*frames(reply)]

    assert (first, second) == (Frame(1.0, b"<"), Frame(0.0, b"", gate="g"))
    assert (head.pause, head.data[:9]) == (0.5, b"HTTP/1.1 ")
    assert [*fastest_frames(reply, is_http11=True, close=False)] == found
    held = [*hold_head(frames(reply), 2)]
    assert held[:2] == [first, second]
    assert held[2].data == head.data + found[3].data
    assert ready(reply) is None


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("wait", [Step((b"",), gate="g"), Step((b"",), 2.0)])
def test_a_wait_behind_the_head_is_not_before_it(streamed: bool, wait: Step) -> None:
    reply = Reply(200, (), (wait, Step((b"a",), tokens=1)), streamed=streamed)

    head, waiting, *_ = hold_head(fastest_frames(reply, is_http11=True, close=False))

    assert (head.pause, head.gate, head.data[-4:]) == (0.0, "", b"\r\n\r\n")
    assert waiting == Frame(wait.pause, b"", gate=wait.gate)
    assert ready(reply) is None


@pytest.mark.parametrize("after", [0, 1])
def test_a_wait_may_come_before_an_ending(after: int) -> None:
    steps = (Step((b"a",)), Step((b"b",)))
    wait = Step((b"",), 2.0, gate="g")
    broken = (*steps[:after], wait, *steps[after:])
    reply = Reply(200, (), broken, Ending(EndingKind.CUT, after=after), streamed=True)

    assert [*frames(reply)][-1] == Frame(2.0, b"", gate="g")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("framed", [frames, fastest_frames])
def test_an_empty_step_of_several_pieces_waits_and_ends_nothing(
    framed: Callable[..., Iterator[Frame]], streamed: bool
) -> None:
    steps = (Step((b"", b""), 2.0, tokens=3, gate="g"), Step((b"a",)))
    reply = Reply(200, (), steps, streamed=streamed)

    _, waiting, *rest = framed(reply, is_http11=True, close=False)

    assert waiting == Frame(2.0, b"", None, 3, "g")
    chunked = b"1\r\na\r\n0\r\n\r\n"
    assert b"".join(frame.data for frame in rest) == (chunked if streamed else b"a")


@given(timed, st.booleans(), st.booleans())
def test_fast_frames_are_sent_like_the_others(reply: Reply, is_http11: bool, close: bool) -> None:
    fast = [*fastest_frames(reply, is_http11=is_http11, close=close)]

    assert timetable(fast) == timetable([*frames(reply, is_http11=is_http11, close=close)])


@given(timed)
def test_a_head_that_is_held_comes_with_the_first_frame(reply: Reply) -> None:
    head, *rest = frames(reply)

    held = [*hold_head(frames(reply))]

    first = rest[0] if rest else Frame(0.0, b"")
    if first.gate or (first.pause and not first.data):
        assert held == [head, *rest]
        return
    assert held[0] == Frame(head.pause + first.pause, head.data + first.data, None, first.tokens)
    assert held[1:] == rest[1:]


def test_a_head_alone_is_held_for_nothing() -> None:
    assert [*hold_head(iter([Frame(1.0, b"head")]))] == [Frame(1.0, b"head")]


def test_a_large_reply_is_not_ready() -> None:
    assert ready(Reply.whole(200, (), bytes(MAX_READY + 1))) is None
