"""The containment of parts: objects, lists, texts and equal values."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.effort import MAX_TEXT_AT_ONCE, Effort
from mockllm.matching.parts import Part, Text, is_within, is_within_one, mark_texts
from mockllm.pieces import Pieces, finish

RESULT = {"type": "result", "id": "t", "content": [{"type": "text", "text": Text("15")}]}


def names(value: dict[str, Any]) -> tuple[str, ...]:
    return ("text", "title", "lines")


@pytest.mark.parametrize(
    ("wanted", "found", "holds"),
    [
        ({}, {"a": 1}, True),
        ({"a": 1}, {"a": 1.0, "b": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": {"b": "x"}}, {"a": {"b": "x", "c": 1}}, True),
        ({"a": {"b": "x"}}, {"a": "x"}, False),
        ({"a": "x"}, {"a": "xy"}, False),
        ({"a": Text("x")}, {"a": "yxz"}, True),
        ({"a": Text("x")}, {"a": ["x"]}, False),
        ({"a": [1, 2]}, {"a": [2, 3, 1]}, True),
        ({"a": [1, 4]}, {"a": [2, 3, 1]}, False),
        ({"a": []}, {"a": {}}, False),
        (RESULT, {**RESULT, "content": [{"type": "text", "text": "15 degrees"}]}, True),
        (RESULT, {**RESULT, "content": [{"type": "image", "text": "15 degrees"}]}, False),
        ({"a": 1}, None, False),
    ],
)
def test_a_value_is_within_another(wanted: Any, found: Any, holds: bool) -> None:
    assert is_within(wanted, found) is holds


@pytest.mark.parametrize(
    ("wanted", "found", "holds"),
    [
        (Text("b"), "a" * 5 * MAX_TEXT_AT_ONCE + "b", True),
        (Text("bb"), "a" * 5 * MAX_TEXT_AT_ONCE + "b", False),
        ("b", "a" * 5 * MAX_TEXT_AT_ONCE + "b", False),
        ([Text("b")], ["a" * 5 * MAX_TEXT_AT_ONCE + "b"], True),
        ({"c": "x"}, "a" * 5 * MAX_TEXT_AT_ONCE, False),
    ],
    ids=["in it", "not in it", "not it", "in a list", "beside it"],
)
def test_a_long_text_in_a_part_is_searched_in_pieces(wanted: Any, found: Any, holds: bool) -> None:
    """10 MB held the loop for 16 ms."""
    within, other = {"t": "x", "a": wanted}, {"t": "x", "a": found}

    def search() -> Pieces[bool]:
        return is_within_one(within, [{"t": "y"}, other] * 10, Effort())

    assert finish(search()) is holds is is_within(within, other)
    assert bool(list(search())) is isinstance(wanted, (Text, list))


def test_what_is_null_or_empty_is_not_searched_for() -> None:
    value = {"type": "x", "text": "", "a": None, "b": [], "c": [{"d": None}, {"text": "t"}, 0]}

    marked = mark_texts(value, names)

    assert marked == {"type": "x", "c": [{"text": "t"}, 0]}
    assert isinstance(marked["c"][0]["text"], Text)
    assert not isinstance(marked["type"], Text)


def test_strings_in_a_list_of_texts_are_texts() -> None:
    part = Part(b"", mark_texts({"lines": ["a", {"title": "b", "other": "c"}]}, names))

    assert list(part.texts) == ["a", "b"]


def test_parts_are_equal_by_their_canonical_form() -> None:
    assert Part(b"x", {"a": 1}) == Part(b"x", {"b": 1})
    assert len({Part(b"x", {"a": []}), Part(b"x", {"b": []})}) == 1
    assert Part(b"x", {}) != Part(b"y", {})


@pytest.mark.parametrize(
    ("part", "described"),
    [
        (Part(b'{"type":"image"}', {}), 'part like \'{"type":"image"}\''),
        (Part(b"", {}, "call_1"), "result of call 'call_1'"),
        (Part(b"", RESULT, "t"), "result of call 't' that contains '15'"),
    ],
)
def test_a_part_is_described_in_a_few_words(part: Part, described: str) -> None:
    assert part.describe() == described
