"""Members of a body that conditions are on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockllm.conformance.body_members import with_members, without_members
from mockllm.matching.body_values import BodyHas
from mockllm.matching.json_path import read_path
from tests.conformance.test_examples import body_test

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def at(path: str, value: Any) -> BodyHas:
    return replace(body_test(value), path=read_path(path))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("$.temperature", 0, {"temperature": 0}),
        ("$.model", {"contains": "m"}, {}),
        ("$.model", "other", {"model": "other"}),
        ("$.metadata.tenant", {"starts_with": "a"}, {"metadata": {"tenant": "a"}}),
        ("$['stop'][0]", "x", {"stop": ["x"]}),
        ("$.stop[-1]", "x", {"stop": ["x"]}),
        ("$.stop[*]", "x", {"stop": ["x"]}),
        ("$..user", "x", {"user": "x"}),
        ("$.seed", None, {"seed": None}),
        ("$.seed", {"exists": False}, {}),
    ],
)
def test_a_member_is_set(path: str, value: Any, expected: dict[str, Any]) -> None:
    assert next(with_members(BODY, [at(path, value)])) == BODY | expected


def test_a_member_that_must_be_absent_is_removed() -> None:
    assert next(with_members(BODY | {"seed": 1}, [at("$.seed", {"exists": False})])) == BODY


@pytest.mark.parametrize(
    ("path", "value"),
    [("$.stop[3]", "x"), ("$.model.name", "x"), ("$[?@.a]", 1), ("$", {"equals": {}})],
)
def test_where_no_value_can_be_set_there_is_no_body(path: str, value: Any) -> None:
    assert [*with_members(BODY, [at(path, value)])] == []


def test_several_members_are_set() -> None:
    both = [at("$.a.b", 1), at("$.a.c", 2)]

    assert next(with_members(BODY, both)) == BODY | {"a": {"b": 1, "c": 2}}


def test_a_value_that_must_not_be_is_replaced() -> None:
    changed = next(without_members(BODY, [at("$.model", "m")]))

    assert changed["model"] != "m"
    assert BODY["model"] == "m"
    assert next(without_members(BODY, [at("$.temperature", 0)])) == BODY
