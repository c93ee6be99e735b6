from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import COMPLETE, Ending, EndingKind, Reply, Step
from mockllm.http1.framing import MAX_READY, FastFraming
from mockllm.replies.prepared import (
    MAX_COUNTED,
    MAX_VARIANTS,
    PreparedReply,
    PreparedStep,
    make_ready,
)
from mockllm.replies.wire_template import RequestValues
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE, Echoed
from tests.support.goldens import FRESH

BODY = {"messages": [{"role": "user", "content": "hello"}]}
ECHOES = [b"\xf9user:null\xf9", b"\xf9tools:[]\xf9", b"null\xf9prompt:\xf9"]
DATA = st.lists(
    st.sampled_from(
        [
            *(b"x", b"", b"\xfc", b"\xfb0\xfb", b"\xfb12\xfb"),
            *(placeholders.UNIQUE_ID, placeholders.SECONDS),
            *ECHOES,
        ]
    )
).map(b"".join)
ECHOED = st.dictionaries(
    st.sampled_from(["user", "tools", "prompt", "other"]), st.sampled_from([b'"a"', b"[1,2]"])
)
REPLIES = st.builds(
    Reply,
    st.just(200),
    st.just(((b"date", placeholders.DATE),)),
    st.lists(
        st.builds(
            lambda data, pause, tokens: Step((data,), pause, tokens),
            DATA,
            st.sampled_from([0.0, 0.0, 0.5]),
            st.sampled_from([0, 0, 3]),
        ),
        max_size=3,
    ).map(tuple),
    st.sampled_from([COMPLETE, Ending(EndingKind.CUT)]),
    st.booleans(),
)


REQUESTS = st.tuples(
    st.sampled_from(["a", "b", "\u2028"]), ECHOED, st.sampled_from(["hello", "hello again"])
)


@given(REPLIES, st.lists(REQUESTS, min_size=1))
def test_a_prepared_reply_is_filled_and_framed_like_any_other(
    reply: Reply, requests: list[tuple[str, dict[str, bytes], str]]
) -> None:
    prepared = PreparedReply(reply, lambda body, names: only(names, body["echoed"]))

    for number, (model, echoed, text) in enumerate(requests):
        body = {"messages": [{"role": "user", "content": text}], "echoed": echoed}
        expected = placeholders.fill(
            reply, model=model, input_tokens=tokens.estimate_prompt(body), echoed=echoed
        )
        data = FastFraming(expected).ready([step.data for step in expected.steps])

        filled, ready = prepared.for_request(model, body)

        assert filled == expected
        for elapsed_ms in (b"     1", b"    20", b"     1"):
            fresh = FRESH._replace(seconds=b"%010d" % number, elapsed_ms=elapsed_ms)
            delivery = data and placeholders.fill_fresh(data, fresh)
            assert (ready and ready.finish(fresh)) == delivery


def only(names: frozenset[str] | None, echoed: Echoed) -> Echoed:
    assert names is not None
    return {name: value for name, value in echoed.items() if name in names}


def test_a_client_that_invents_models_uses_bounded_memory() -> None:
    prepared = PreparedReply(Reply.whole(200, (), b"\xfc"))

    bodies = [prepared.for_request(f"m{n}", BODY)[0].body for n in range(2 * MAX_VARIANTS)] * 2

    assert bodies == [b'"m%d"' % n for n in range(2 * MAX_VARIANTS)] * 2
    assert len(prepared._variants) == MAX_VARIANTS


def test_a_prepared_reply_does_not_keep_what_it_was_rendered_from() -> None:
    prepared = PreparedReply(Reply(200, (), (Step((b"{}",)),), response={"id": "1"}))

    assert prepared.for_request("m", BODY)[0].response is None


def test_tokens_that_are_given_are_not_estimated() -> None:
    prepared = PreparedReply(Reply.whole(200, (), b"\xfc: \xfb2\xfb"))

    assert [prepared.for_request("m", BODY, 70)[0].body for _ in range(4)] == [b'"m": 72'] * 4


def test_a_reply_is_counted_if_it_is_small_and_has_a_number_of_tokens() -> None:
    bodies = [b"\xfc: \xfb0\xfb", b"\xfc: 0", b"x" * MAX_COUNTED + b"\xfb0\xfb"]

    prepared = [PreparedReply(Reply.whole(200, (), body)) for body in bodies]

    assert [each.is_counted for each in prepared] == [True, False, False]


def test_a_reply_that_a_request_makes_large_is_not_sent_in_one_write() -> None:
    prepared = PreparedReply(
        Reply.whole(200, (), b"\xf9tools:[]\xf9" * 2), lambda body, names: body["echoed"]
    )

    small, ready = prepared.for_request("m", {"echoed": {"tools": b"x" * 10}})
    assert (small.body, ready is None) == (b"x" * 20, False)

    large, ready = prepared.for_request("m", {"echoed": {"tools": b"x" * (MAX_READY // 2 + 1)}})
    assert next(iter(large.steps)) is next(iter(large.steps))  # not filled in twice
    assert (len(large.body), ready) == (MAX_READY + 2, None)
    assert max(len(piece) for step in large.steps for piece in step.pieces) == MAX_PIECE


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


@given(DATA, ECHOED)
def test_a_prepared_step_fills_as_a_plain_reply(data: bytes, echoed: dict[str, bytes]) -> None:
    filled = placeholders.fill(Reply.whole(200, (), data), model="m", input_tokens=7, echoed=echoed)

    values = RequestValues(placeholders.model_name("m"), 7, echoed)
    assert PreparedStep(Step((data,))).fill(values).data == filled.body


def test_only_the_large_pieces_of_a_large_reply_are_cut() -> None:
    small = (b"a" * MAX_PIECE, b"b")
    large = b"c" * (2 * MAX_PIECE + 1)
    reply = Reply(200, (), (Step(small), Step((b"d", large))), streamed=True)

    found, ready = make_ready(reply)

    assert ready is None
    assert [step.pieces for step in found.steps] == [small, (b"d", *placeholders.cut(large))]
