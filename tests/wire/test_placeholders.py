"""Placeholders: all of them are filled in, and nothing else changes."""

from __future__ import annotations

import re
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import jsontext, playback
from mockllm.exchange import Ending, Reply, Stamps, Step

STAMPS = Stamps(
    token=b"0123456789abcdef0123",
    seconds=b"1700000000",
    date=b"Tue, 14 Nov 2023 22:13:20 GMT",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def delivered(reply: Reply, *, model: str = "m", input_tokens: int = 7) -> bytes:
    filled = playback.fill(reply, model=model, input_tokens=input_tokens)
    return playback.stamp(filled.body, STAMPS)


def whole(value: object) -> Reply:
    return playback.whole(200, (), jsontext.dumps(value))


def test_every_placeholder_is_filled_with_its_value() -> None:
    reply = whole(
        {
            "id": playback.fresh_id("msg_01", 22, "message"),
            "model": playback.model_mark(),
            "created": playback.seconds_mark(),
            "prompt": playback.tokens_mark(),
            "total": playback.tokens_mark(5),
        }
    )

    answer = orjson.loads(delivered(reply))

    assert re.fullmatch("msg_010123456789abcdef0123[0-9a-f]{2}", answer.pop("id"))
    assert answer == {"model": "m", "created": 1_700_000_000, "prompt": 7, "total": 12}


@given(
    texts=st.lists(TEXTS, max_size=4),
    model=TEXTS,
    plus=st.integers(0, 10**9),
    length=st.integers(20, 52),
)
@settings(deadline=None)
def test_no_placeholder_is_left_and_no_text_is_changed(
    texts: list[str], model: str, plus: int, length: int
) -> None:
    reply = whole(
        [
            texts,
            playback.model_mark(),
            playback.tokens_mark(plus),
            playback.seconds_mark(),
            playback.fresh_id("call_", length, "place"),
        ]
    )

    body = delivered(reply, model=model)

    assert not re.search(rb"[\xf9-\xff]", body)
    assert body.decode()
    found_texts, found_model, tokens, seconds, fresh = orjson.loads(body)
    assert (found_texts, found_model) == (texts, model)
    assert (tokens, seconds) == (plus + 7, 1_700_000_000)
    assert len(fresh) == len("call_") + length


@given(TEXTS)
@settings(deadline=None)
def test_text_of_a_user_is_never_a_placeholder(text: str) -> None:
    reply = whole([text, {text: text}])

    assert not playback.needs_request(reply)
    assert delivered(reply) == reply.body


@given(places=st.sets(TEXTS, min_size=2, max_size=5), length=st.integers(36, 52))
@settings(deadline=None)
def test_ids_of_one_answer_differ_by_their_place(places: set[str], length: int) -> None:
    once = [orjson.dumps(playback.fresh_id("x_", length, place)) for place in sorted(places)]
    again = [orjson.dumps(playback.fresh_id("x_", length, place)) for place in sorted(places)]

    assert once == again
    assert all(one != other for one, other in pairwise(sorted(once)))


def test_placeholders_of_a_delivery_are_as_long_as_their_values() -> None:
    for mark, stamp in (
        (playback.TOKEN, STAMPS.token),
        (playback.SECONDS, STAMPS.seconds),
        (playback.DATE, STAMPS.date),
    ):
        assert len(mark) == len(stamp)
        assert playback.stamp(b"<" + mark + b">", STAMPS) == b"<" + stamp + b">"


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        (playback.model_mark(), True),
        (playback.tokens_mark(), True),
        (playback.tokens_mark(3), True),
        (playback.seconds_mark(), False),
        (playback.fresh_id("a_", 24, "x"), False),
        ("plain", False),
    ],
)
def test_only_some_placeholders_need_the_request(value: object, needed: bool) -> None:
    assert playback.needs_request(whole([value])) is needed


def test_fill_changes_only_placeholders() -> None:
    mark = jsontext.dumps(playback.model_mark())
    steps = (Step(0.25, b"a"), Step(0.5, mark + b"," + mark))
    reply = Reply(200, ((b"x", b"y"),), steps, Ending.CUT, streamed=True)

    filled = playback.fill(reply, model='"quoted"', input_tokens=1)

    quoted = rb'"\"quoted\""'
    assert filled == Reply(
        200,
        ((b"x", b"y"),),
        (Step(0.25, b"a"), Step(0.5, quoted + b"," + quoted)),
        Ending.CUT,
        streamed=True,
    )


def test_stream_is_one_step_a_frame() -> None:
    reply = playback.stream(200, ((b"a", b"b"),), [b"one", b"two"])

    assert reply == Reply(
        200, ((b"a", b"b"),), (Step(0.0, b"one"), Step(0.0, b"two")), streamed=True
    )
    assert reply.body == b"onetwo"


def test_whole_is_one_step() -> None:
    assert playback.whole(404, (), b"body") == Reply(404, (), (Step(0.0, b"body"),))
