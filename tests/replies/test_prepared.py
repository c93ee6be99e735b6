from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import COMPLETE, Ending, EndingKind, Reply, Step
from mockllm.http1.framing import FastFraming
from mockllm.replies.prepared import MAX_MODELS, PreparedReply, PreparedStep
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE
from tests.support.goldens import FRESH

BODY = {"messages": [{"role": "user", "content": "hello"}]}
DATA = st.lists(
    st.sampled_from([b"x", b"", b"\xfc", b"\xfb0\xfb", b"\xfb12\xfb", placeholders.UNIQUE_ID])
).map(b"".join)
REPLIES = st.builds(
    Reply,
    st.just(200),
    st.just(((b"date", placeholders.DATE),)),
    st.lists(
        st.builds(lambda data, pause: Step((data,), pause), DATA, st.sampled_from([0.0, 0.0, 0.5])),
        max_size=3,
    ).map(tuple),
    st.sampled_from([COMPLETE, Ending(EndingKind.CUT)]),
    st.booleans(),
)


@given(REPLIES, st.lists(st.sampled_from(["a", "b", "\u2028"]), min_size=1))
def test_a_prepared_reply_is_filled_and_framed_like_any_other(
    reply: Reply, models: list[str]
) -> None:
    prepared = PreparedReply(reply)

    for model in models:
        input_tokens = tokens.estimate_prompt(BODY)
        expected = placeholders.fill(reply, model=model, input_tokens=input_tokens)
        data = FastFraming(expected).ready([step.data for step in expected.steps])

        filled, ready = prepared.for_request(model, BODY)

        assert filled == expected
        assert (ready and ready.finish(FRESH)) == (data and placeholders.fill_fresh(data, FRESH))


def test_a_client_that_invents_models_uses_bounded_memory() -> None:
    prepared = PreparedReply(Reply.whole(200, (), b"\xfc"))

    bodies = [prepared.for_request(f"m{n}", BODY)[0].body for n in range(2 * MAX_MODELS)]

    assert bodies == [b'"m%d"' % n for n in range(2 * MAX_MODELS)]
    assert len(prepared._by_model) == MAX_MODELS


@pytest.mark.parametrize("streamed", [False, True])
def test_a_large_reply_is_shared_between_requests(streamed: bool) -> None:
    text = b"x" * MAX_PIECE
    steps = (Step((b"\xfc" + text + b"\xfb1\xfb",), 0.5), Step((b"end",)))
    prepared = PreparedReply(Reply(200, (), steps, streamed=streamed))

    one, other = prepared.for_request("a", BODY)[0], prepared.for_request("b", BODY)[0]

    assert one.body == b'"a"' + text + b"%d" % (tokens.estimate_prompt(BODY) + 1) + b"end"
    assert sum(step.pause for step in one.steps) == 0.5
    assert len(list(one.steps)) == len(steps)
    large, others = pieces_of(one), pieces_of(other)
    assert [id(piece) for piece in large] == [id(piece) for piece in others]
    assert large


def pieces_of(reply: Reply) -> list[bytes]:
    """The large pieces of a reply's steps."""
    return [piece for step in reply.steps for piece in step.pieces if len(piece) == MAX_PIECE]


@given(st.lists(st.sampled_from([b"x", b"", b"\xfc", b"\xfb0\xfb", b"\xfb12\xfb"])).map(b"".join))
def test_a_prepared_step_fills_as_a_plain_reply(data: bytes) -> None:
    filled = placeholders.fill(Reply.whole(200, (), data), model="m", input_tokens=7)

    assert PreparedStep(Step((data,))).fill(placeholders.model_name("m"), 7) == filled.body
