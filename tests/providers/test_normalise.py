"""Normalised messages: what counts as the same in every API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.providers import normalise
from mockllm.wire import jsontext

Json = dict[str, Any]


NOT_OBJECTS: list[Any] = [None, True, 7, 1.5, "", "é", []]


def text_part(text: Any, kind: Any = "text") -> Json:
    return {"type": kind, "text": text}


# --- Members -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (None, {"a": 0, "b": "", "é": []}),
        ({"a", "é", "null", "cache_control", "missing"}, {"a": 0, "é": []}),
        (set(), {}),
    ],
)
def test_members_unknown_null_or_ignored_are_removed(names: set[str] | None, left: Json) -> None:
    value: Json = {"a": 0, "null": None, "b": "", "cache_control": {"type": "ephemeral"}, "é": []}

    assert normalise.known_members(value, names) == left


def test_removing_members_leaves_the_original_alone() -> None:
    value: Json = {"a": 1, "b": None}

    normalise.known_members(value, {"a"})

    assert value == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ({"type": "t", "a": 1, "b": 2, "c": None}, {"type": "t", "a": 1}),
        ({"type": "other", "a": 1, "b": 2, "c": None}, {"type": "other", "a": 1, "b": 2}),
        ({"a": 1, "b": 2, "c": None}, {"a": 1, "b": 2}),
        ({"type": ["t"], "b": 2}, {"type": ["t"], "b": 2}),
        ({"type": None, "b": 2}, {"b": 2}),
        ({"type": "other", "cache_control": 1}, {"type": "other"}),
        ({}, {}),
    ],
)
def test_a_part_keeps_the_members_that_its_type_declares(part: Json, left: Json) -> None:
    assert normalise.known_part(part, {"t": {"type", "a", "c"}}) == left


@pytest.mark.parametrize("value", NOT_OBJECTS)
def test_a_part_that_is_not_an_object_is_unchanged(value: Any) -> None:
    assert normalise.known_part(value, {"": set()}) == value


# --- Arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"a": 1, "b": "é"}', '{"b":"\\u00e9","a":1.0}'),
        (" [1, 2]\n", "[1,2]"),
        ("null", " null "),
        ('"a"', '"\\u0061"'),
    ],
)
def test_spellings_of_the_same_arguments_are_equal(text: str, same: str) -> None:
    first, second = normalise.arguments(text), normalise.arguments(same)

    assert jsontext.canonical(first) == jsontext.canonical(second)


@pytest.mark.parametrize(
    ("text", "other"),
    [('"a"', "a"), ("1", '"1"'), ("true", "1"), ("{}", ""), ('{"a": null}', "{}"), ("a", "a ")],
)
def test_other_arguments_differ(text: str, other: str) -> None:
    first, second = normalise.arguments(text), normalise.arguments(other)

    assert jsontext.canonical(first) != jsontext.canonical(second)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "{'a': 1}", "NaN", "{} {}", "select é", pytest.param("{" * 5_000, id="deep")],
)
def test_arguments_that_are_not_json_are_unchanged(text: str) -> None:
    assert normalise.arguments(text) == text


@pytest.mark.parametrize("value", [None, True, 7, {"a": 1}, ["{}"]])
def test_arguments_that_are_not_a_text_are_unchanged(value: Any) -> None:
    assert normalise.arguments(value) == value


def test_arguments_may_contain_lone_surrogates() -> None:
    assert normalise.arguments('"\ud800"') == {"json": "?"}
    assert normalise.arguments("\ud800") == "\ud800"


@given(st.text())
def test_no_text_equals_the_arguments_that_it_spells(text: str) -> None:
    spelled = jsontext.dumps(text).decode()

    assert normalise.arguments(spelled) == {"json": text}
    assert normalise.arguments(text) != {"json": text}


def test_long_arguments_are_compared_as_text() -> None:
    short, long = (
        f"{' ' * (normalise.MAX_ARGUMENTS - 2)}{{}}",
        f"{' ' * normalise.MAX_ARGUMENTS}{{}}",
    )

    assert normalise.arguments(short) == {"json": {}}
    assert normalise.arguments(long) == long


# --- Contents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (None, []),
        ("", []),
        ("a", [text_part("a")]),
        ([text_part("a"), 1], [text_part("a"), 1]),
        (5, []),
    ],
)
def test_a_content_is_spread_to_a_list_of_parts(value: Any, parts: list[Any]) -> None:
    assert normalise.spread(value) == parts
