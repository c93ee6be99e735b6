"""Unions: the variant that a value was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from typing_extensions import TypedDict

from mockllm.validation.findings import Finding, compile_request, confirm_model
from tests.support.small_types import (
    MISSING,
    WRONG,
    Call,
    Image,
    Message,
    Text,
    content,
    lenient,
    strict,
)


def test_union_reports_the_intended_variant() -> None:
    assert content([{"type": "image", "source": {"type": "url", "url": 5}}]) == Finding(
        ("messages", 0, "content", 0, "source", "url"),
        "expected a string, found 5",
        WRONG,
    )


def test_union_without_a_fitting_json_type_names_all() -> None:
    assert content(42) == Finding(
        ("messages", 0, "content"), "expected a string or a list, found 42", WRONG
    )


@pytest.mark.parametrize(
    ("part", "finding"),
    [
        ({"text": "hi"}, Finding(("type",), "required, but missing", MISSING)),
        ({"type": None}, Finding(("type",), "expected a string, found null", WRONG)),
        ({"type": 5}, Finding(("type",), "expected a string, found 5", WRONG)),
        ({"type": []}, Finding(("type",), "expected a string, found a list", WRONG)),
        ({"type": {}}, Finding(("type",), "expected a string, found an object", WRONG)),
        ("hi", Finding((), "expected an object, found 'hi'", WRONG)),
        (None, Finding((), "expected an object, found null", WRONG)),
        (["type"], Finding((), "expected an object, found a list", WRONG)),
    ],
)
def test_union_needs_an_object_with_a_tag(part: Any, finding: Finding) -> None:
    place = ("messages", 0, "content", 0, *finding.path)
    assert content([part]) == Finding(place, finding.message, finding.kind)


@pytest.mark.parametrize("tool", [{"name": "t"}, {"name": "t", "type": None}, {"type": "bash"}])
def test_optional_tag_may_be_absent(tool: Any) -> None:
    assert lenient(tools=[tool]) is None
    assert strict(tools=[tool]) is None


def test_absent_optional_tag_picks_its_variant() -> None:
    assert lenient(tools=[{}]) == Finding(("tools", 0, "name"), "required, but missing", MISSING)


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], []])
def test_the_first_entry_selects_the_list_type(value: Any) -> None:
    confirm = compile_request(
        str | list[str] | Iterable[int] | Iterable[Iterable[int]], strict=True
    )
    assert confirm(value) is None


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (["a", 1], Finding((1,), "expected a string, found 1", WRONG)),
        ([1, "a"], Finding((1,), "expected an integer, found 'a'", WRONG)),
        ([[1], 2], Finding((1,), "expected a list, found 2", WRONG)),
        ([{}], Finding((0,), "expected a string, an integer or a list, found an object", WRONG)),
    ],
)
def test_a_list_is_of_one_kind(value: Any, finding: Finding) -> None:
    confirm = compile_request(
        str | list[str] | Iterable[int] | Iterable[Iterable[int]], strict=True
    )
    assert confirm(value) == finding


def test_lists_that_an_entry_cannot_tell_apart_may_be_mixed() -> None:
    confirm = compile_request(list[Text] | list[Image], strict=True)
    assert confirm([{"type": "text", "text": "a"}]) is None
    assert confirm([{"type": "image"}]) == Finding((0, "source"), "required, but missing", MISSING)


def test_untagged_objects_are_tried_in_order() -> None:
    class Left(TypedDict):
        left: int

    class Right(TypedDict):
        right: int

    confirm = compile_request(Left | Right, strict=False)
    assert confirm({"right": 1}) is None
    assert confirm({}) == Finding(("left",), "required, but missing", MISSING)


def test_union_with_anything_accepts_anything() -> None:
    assert compile_request(Text | object, strict=True)({"type": "text"}) is None


def test_a_recursive_type_is_confirmed_at_every_level() -> None:
    note: dict[str, Any] = {"type": "text", "text": 5}
    for _ in range(20):
        note = {"type": "note", "notes": [note]}
    assert content([note]) == Finding(
        ("messages", 0, "content", 0, *("notes", 0) * 20, "text"),
        "expected a string, found 5",
        WRONG,
    )


def test_a_deep_value_of_any_type_is_accepted() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    assert lenient(tools=[{"name": "t", "schema": deep}]) is None
    assert strict(tools=[{"name": "t", "schema": deep}]) is None


def test_union_of_models_is_decided_by_type() -> None:
    assert confirm_model(Message | Call, {"type": "call"}) == [
        Finding(("name",), "required, but missing", MISSING)
    ]
