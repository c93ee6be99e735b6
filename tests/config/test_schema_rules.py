"""Rules of a JSON Schema about the keys of one object."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockllm.config.schema_rules import (
    at_least_one_of,
    at_most_one_of,
    has,
    has_key,
    has_value,
    member,
    members,
    none_of,
    one_of,
    when,
)

A, B, C = has("a"), has("b"), has("c")


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (A, {"a": 0}, True),
        (A, {"a": None}, False),
        (A, {"b": 1}, False),
        (has("a", []), {"a": []}, False),
        (has_key("a"), {"a": None}, True),
        (has_value("a", "x", True), {"a": "x"}, True),
        (has_value("a", "x", True), {"a": "y"}, False),
        (has_value("a", "x", True), {}, False),
        (at_least_one_of(A, B), {"a": 1, "b": 1}, True),
        (at_least_one_of(A, B), {}, False),
        (one_of(A, B), {"b": 1}, True),
        (one_of(A, B), {"a": 1, "b": 1}, False),
        (none_of(A, B), {"c": 1}, True),
        (none_of(A, B), {"b": 1}, False),
        (at_most_one_of(A, B, C), {"c": 1}, True),
        (at_most_one_of(A, B, C), {}, True),
        (at_most_one_of(A, B, C), {"a": 1, "c": 1}, False),
        (when(A, B), {}, True),
        (when(A, B), {"a": 1}, False),
        (when(A, B), {"a": 1, "b": 1}, True),
        (member("x", A), {}, True),
        (member("x", A), {"x": {"b": 1}}, False),
        (members("x", A), {"x": ["text", {"a": 1}]}, True),
        (members("x", A), {"x": [{"a": 1}, {}]}, False),
    ],
)
def test_rules_say_which_keys_stand_together(rule: Any, value: Any, expected: bool) -> None:
    assert jsonschema.Draft202012Validator(rule).is_valid(value) is expected
