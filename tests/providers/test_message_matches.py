"""Matches by a message, as all APIs compile them."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.message_predicates import ItemsEqual, MessageContains
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.parts import Part
from mockllm.matching.predicate import Predicate
from mockllm.prompt import MessagePart
from mockllm.providers import message_matches, normalise
from mockllm.wire import jsontext
from tests.providers.test_normalise import Json, text_part

USER: Json = {"role": "user", "content": "hi"}


def test_a_valid_role_of_a_mock_is_accepted() -> None:
    message_matches.check_role(USER, ["user"])

    with pytest.raises(ValueError, match=r"^role: expected one of assistant, tool, found 'user'$"):
        message_matches.check_role(USER, ["assistant", "tool"])


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ({}, "nothing"),
        ({"role": None}, "null"),
        ({"role": ""}, "''"),
        ({"role": "USER"}, "'USER'"),
        ({"role": 7}, "7"),
        ({"role": ["user"]}, "a list"),
        ({"role": {}}, "an object"),
    ],
)
def test_the_error_of_a_role_has_those_expected_and_the_one_found(
    message: Json, found: str
) -> None:
    with pytest.raises(ValueError, match=r"^role: ") as info:
        message_matches.check_role(message, {"user": (), "tool": ()})  # as in APIs: their members

    assert str(info.value) == f"role: expected one of user, tool, found {found}"


def no_names(value: Json) -> tuple[str, ...]:
    return ("title",)


def compiled(value: Any) -> Predicate:
    parts = map(MessagePart, normalise.spread(value))
    return message_matches.compile_contains(value, "user", parts, no_names)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ([], ""), ("", ""), ("é", "é"), ([text_part("a", "input_text")], "a")],
)
def test_a_content_of_one_text_is_searched_for(value: Any, text: str) -> None:
    assert compiled(value) == MessageContains(text, "user")


@pytest.mark.parametrize(("value", "found"), [({}, "an object"), (0, "a number"), (False, "a boo")])
def test_another_content_cannot_be_compiled(value: Any, found: str) -> None:
    with pytest.raises(ValueError, match=f"expected a string or a list of parts, found {found}"):
        compiled(value)


def test_several_parts_are_searched_for_one_by_one() -> None:
    image = {"type": "image", "title": "sun", "url": "x"}

    condition = compiled([text_part("a"), image, text_part("b")])

    assert condition == MessageHasParts(
        ("a", "b"), (Part(jsontext.canonical(image), image),), "user"
    )
    assert condition.required_texts == ("a", "b", "sun")


def test_a_mock_compiles_to_the_condition_that_the_message_is_equal() -> None:
    equal = message_matches.compile_exact(USER, jsontext.canonical, ("hi",))

    assert equal == ItemsEqual(1, b'{"content":"hi","role":"user"}', ("hi",), "user")
