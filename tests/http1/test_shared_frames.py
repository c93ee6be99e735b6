"""Frames that deliveries share: equal to those of the reference, and bounded."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import COMPLETE, Ending, EndingKind, LazySteps, Reply, Step
from mockllm.http1.framing import Frame, frames, hold_head
from mockllm.http1.shared_frames import SharedFrames
from mockllm.wire import placeholders
from mockllm.wire.placeholders import body_template, fill_body
from tests.support.goldens import FRESH

PLACED = b"100%% %b %b %b" % (placeholders.UNIQUE_ID, placeholders.SECONDS, placeholders.UNIQUE_ID)
HEADERS = ((b"date", placeholders.DATE),)


def shared(framed: SharedFrames, reply: Reply) -> list[Frame]:
    return [*framed.of(reply, is_http11=True, close=False)]


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([(b"a",), (b"",), (b"ab" * 200,), (b"one", b"two"), (PLACED,)]),
        st.sampled_from([0.0, 0.5]),
        st.sampled_from([0, 1, 3]),
        st.sampled_from(["", "", "gate"]),
    ),
    max_size=5,
).map(tuple)


@given(
    steps=STEPS,
    status=st.sampled_from([200, 500]),
    streamed=st.booleans(),
    ending=st.sampled_from([COMPLETE, COMPLETE, Ending(EndingKind.CUT, 1)]),
    is_lazy=st.booleans(),
    is_http11=st.sampled_from([True, True, False]),
    close=st.sampled_from([False, False, True]),
    before_head=st.sampled_from([0.0, 0.0, 1.0]),
)
def test_they_are_those_of_the_reference_each_time(
    *,
    steps: tuple[Step, ...],
    status: int,
    streamed: bool,
    ending: Ending,
    is_lazy: bool,
    is_http11: bool,
    close: bool,
    before_head: float,
) -> None:
    made = LazySteps(lambda: iter(steps)) if is_lazy else steps
    reply = Reply(status, HEADERS, made, ending, streamed, before_head)
    framed = SharedFrames(make_template=body_template)

    for _ in range(4):
        found = [*framed.of(reply, is_http11=is_http11, close=close)]
        assert found == [*frames(reply, is_http11=is_http11, close=close)]
        own, shared, at = framed.with_head_held(reply, is_http11=is_http11, close=close)
        held = hold_head(frames(reply, is_http11=is_http11, close=close))
        assert [*own, *shared[0][at:]] == [*held]
        for frame, ready in zip(*shared, strict=True):
            if ready is not None:
                data, values, pause, tokens = ready
                filled = data if values is None else data % values(FRESH)
                assert Frame(pause, filled, None, tokens) == frame._replace(
                    data=fill_body(frame.data, FRESH)
                )


def test_deliveries_share_them_from_the_second_on() -> None:
    reply = Reply.stream(200, HEADERS, [b"a", b"bb"])
    framed = SharedFrames()

    first, second, third = (shared(framed, reply) for _ in range(3))

    assert first == second == third
    assert first[1] is not second[1]
    assert second[1] is third[1]


def test_deliveries_that_overlap_do_not_disturb_each_other() -> None:
    reply = Reply.stream(200, HEADERS, [b"a", b"bb", b"ccc"])
    framed = SharedFrames()
    expected = shared(framed, reply)

    one, other = (framed.of(reply, is_http11=True, close=False) for _ in range(2))
    begun = [*islice(one, 2)]

    assert [*other] == expected
    assert [*begun, *one] == expected


def test_replies_with_the_same_steps_have_heads_of_their_own() -> None:
    reply = Reply.stream(200, HEADERS, [b"a", b"bb"])
    other = Reply(200, ((b"x-b", b"2"),), reply.steps, streamed=True)
    framed = SharedFrames()

    for each in (reply, other, reply, other):
        assert shared(framed, each) == [*frames(each)]


def test_other_steps_at_the_same_place_in_memory_are_not_mistaken() -> None:
    framed = SharedFrames()
    for text in (b"a", b"b", b"c", b"d"):
        for _ in range(2):
            reply = Reply.stream(200, HEADERS, [text])
            assert shared(framed, reply) == [*frames(reply)]
            del reply


def test_what_is_kept_is_bounded() -> None:
    replies = [Reply.stream(200, HEADERS, [b"x" * 500] * 2) for _ in range(20)]
    framed = SharedFrames(max_bytes=4_000)
    for reply in [*replies, *replies, Reply.stream(200, HEADERS, [b"x" * 5_000])] * 2:
        assert shared(framed, reply) == [*frames(reply)]

    assert 0 < len(framed._kept) <= 3
