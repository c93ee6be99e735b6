"""Placeholders: all of them are filled in, and nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.exchange import Ending, EndingKind, Reply, Step
from mockllm.wire import jsontext, placeholders
from mockllm.wire.placeholders import MAX_PIECE, FreshValues

FRESH = FreshValues(
    unique_id=b"0123456789abcdef0123",
    seconds=b"1700000000",
    date=b"Tue, 14 Nov 2023 22:13:20 GMT",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
BODY_MARKS = [placeholders.UNIQUE_ID, placeholders.SECONDS]


def delivered(reply: Reply, *, model: str = "m", input_tokens: int = 7) -> bytes:
    filled = placeholders.fill(reply, model=model, input_tokens=input_tokens)
    return placeholders.fill_fresh(filled.body, FRESH)


def whole(value: object) -> Reply:
    return Reply.whole(200, (), jsontext.dumps(value))


def divided(value: object) -> Reply:
    return Reply.divided(200, (), [jsontext.dumps(value)])


@given(st.lists(st.one_of(TEXTS.map(str.encode), st.sampled_from(BODY_MARKS))))
def test_a_part_of_a_body_is_filled_as_a_whole_answer_is(parts: list[bytes]) -> None:
    data = b"|".join(parts)

    assert placeholders.fill_body(data, FRESH) == placeholders.fill_fresh(data, FRESH)


@given(
    st.lists(st.one_of(TEXTS.map(str.encode), st.sampled_from([b"%", b"%b%%", *BODY_MARKS]))),
)
def test_a_template_of_a_body_is_filled_like_the_body(parts: list[bytes]) -> None:
    data = b"".join(parts)
    template = placeholders.body_template(data)

    if template is None:
        assert placeholders.fill_body(data, FRESH) == data
    else:
        assert template.data % template.values(FRESH) == placeholders.fill_body(data, FRESH)


def test_every_placeholder_is_filled_with_its_value() -> None:
    reply = whole(
        {
            "id": placeholders.fresh_id("msg_01", 22, "message"),
            "model": placeholders.model_placeholder(),
            "created": placeholders.seconds_placeholder(),
            "prompt": placeholders.tokens_placeholder(),
            "total": placeholders.tokens_placeholder(5),
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
            placeholders.model_placeholder(),
            placeholders.tokens_placeholder(plus),
            placeholders.seconds_placeholder(),
            placeholders.fresh_id("call_", length, "place"),
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

    assert not placeholders.needs_request(reply)
    assert delivered(reply) == reply.body


@given(places=st.sets(TEXTS, min_size=2, max_size=5), length=st.integers(36, 52))
@settings(deadline=None)
def test_ids_of_one_answer_differ_by_their_place(places: set[str], length: int) -> None:
    once = [orjson.dumps(placeholders.fresh_id("x_", length, place)) for place in sorted(places)]
    again = [orjson.dumps(placeholders.fresh_id("x_", length, place)) for place in sorted(places)]

    assert once == again
    assert all(one != other for one, other in pairwise(sorted(once)))


def test_placeholders_of_a_delivery_are_as_long_as_their_values() -> None:
    for mark, stamp in (
        (placeholders.UNIQUE_ID, FRESH.unique_id),
        (placeholders.SECONDS, FRESH.seconds),
        (placeholders.DATE, FRESH.date),
    ):
        assert len(mark) == len(stamp)
        assert placeholders.fill_fresh(b"<" + mark + b">", FRESH) == b"<" + stamp + b">"


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        (placeholders.model_placeholder(), True),
        (placeholders.tokens_placeholder(), True),
        (placeholders.tokens_placeholder(3), True),
        (placeholders.seconds_placeholder(), False),
        (placeholders.fresh_id("a_", 24, "x"), False),
        ("plain", False),
    ],
)
def test_only_some_placeholders_need_the_request(value: object, needed: bool) -> None:
    assert placeholders.needs_request(whole([value])) is needed


PARTS = st.lists(
    st.sampled_from([placeholders.MODEL, b"\xfb0\xfb", b"\xfb12\xfb", b"text", b"\xff" * 20]),
    max_size=8,
)


@given(PARTS)
def test_a_large_step_is_split_as_a_small_one(parts: list[bytes]) -> None:
    data = b"".join(parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placeholders, "MAX_PIECE", -1)
        large = placeholders.split_of_request(data)

    assert large == placeholders.split_of_request(data) == placeholders.OF_REQUEST.split(data)


def test_fill_changes_only_placeholders() -> None:
    mark = jsontext.dumps(placeholders.model_placeholder())
    steps = (Step((b"a",), 0.25), Step((mark + b"," + mark,), 0.5))
    reply = Reply(200, ((b"x", b"y"),), steps, Ending(EndingKind.CUT), streamed=True)

    filled = placeholders.fill(reply, model='"quoted"', input_tokens=1)

    quoted = rb'"\"quoted\""'
    assert filled == Reply(
        200,
        ((b"x", b"y"),),
        (Step((b"a",), 0.25), Step((quoted + b"," + quoted,), 0.5)),
        Ending(EndingKind.CUT),
        streamed=True,
    )


def test_stream_is_one_step_a_frame() -> None:
    reply = Reply.stream(200, ((b"a", b"b"),), [b"one", b"two"])

    assert reply == Reply(200, ((b"a", b"b"),), (Step((b"one",)), Step((b"two",))), streamed=True)
    assert reply.body == b"onetwo"


def test_whole_is_one_step() -> None:
    assert Reply.whole(404, (), b"body") == Reply(404, (), (Step((b"body",)),))


@pytest.mark.parametrize("size", [0, 1, MAX_PIECE, 3 * MAX_PIECE])
def test_large_data_is_cut_into_pieces(size: int) -> None:
    data = bytes(size)

    pieces = placeholders.cut(data)

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= MAX_PIECE


def test_a_placeholder_is_never_cut() -> None:
    filler = b"a" * (MAX_PIECE - 3)
    data = filler + placeholders.UNIQUE_ID + placeholders.SECONDS + b"b" * MAX_PIECE

    pieces = placeholders.cut(data)

    assert b"".join(pieces) == data
    assert sum(piece.count(placeholders.UNIQUE_ID) for piece in pieces) == 1
    assert sum(piece.count(placeholders.SECONDS) for piece in pieces) == 1


@pytest.mark.parametrize(
    ("echoed", "expected"),
    [
        ({}, b'{"user":null,"tools":[]}'),
        ({"user": b'"me"'}, b'{"user":"me","tools":[]}'),
        ({"prompt": b',"prompt":{}'}, b'{"user":null,"prompt":{},"tools":[]}'),
        ({"tools": b"[1]", "other": b"2"}, b'{"user":null,"tools":[1]}'),
    ],
)
def test_an_echo_is_the_value_of_the_request_or_its_default(
    echoed: dict[str, bytes], expected: bytes
) -> None:
    user = placeholders.with_optional_member(placeholders.echo_placeholder("user", None), "prompt")
    reply = whole({"user": user, "tools": placeholders.echo_placeholder("tools", [])})

    assert placeholders.fill(reply, model="m", input_tokens=1, echoed=echoed).body == expected
    assert placeholders.echo_names(reply) == {"user", "prompt", "tools"}


@pytest.mark.parametrize("kind", [whole, divided])
def test_a_large_echo_is_filled_in_piece_by_piece(kind: Callable[[Any], Reply]) -> None:
    tools = b"[" + b"1," * MAX_PIECE + b"1]"
    members = {"tools": placeholders.echo_placeholder("tools", [])}
    members |= {"model": placeholders.model_placeholder(), "n": placeholders.tokens_placeholder(1)}

    reply = placeholders.fill(kind(members), model="m", input_tokens=1, echoed={"tools": tools})

    (step,) = reply.steps
    assert step.data == b'{"tools":%b,"model":"m","n":2}' % tools
    assert max(map(len, step.pieces)) <= MAX_PIECE


def test_other_echoes_than_those_named_are_left() -> None:
    data = b"\xf9user:null\xf9\xf9tools:[]\xf9"

    assert placeholders.fill_echoes(data, {}, {"user"}) == b"null\xf9tools:[]\xf9"
    assert placeholders.parse_echo(b"\xf9tools:[]\xf9") == ("tools", b"[]")


@given(
    st.lists(st.sampled_from([b"word ", placeholders.UNIQUE_ID, b":%b," % placeholders.SECONDS])),
    st.integers(1, 30),
)
def test_stand_ins_are_undone_in_pieces_as_at_once(words: list[bytes], size: int) -> None:
    text = b"-".join(words)  # two ids beside each other look like one
    data = placeholders.stand_in(text)
    parts = [data[at : at + size] for at in range(0, len(data), size)]

    pieces = list(placeholders.undo_in_pieces(parts))

    assert b"".join(pieces) == placeholders.undo_stand_in(data) == text
    for before, after in pairwise(pieces):
        at = len(before)
        assert placeholders.end_of_placeholder(before + after, at) == at
