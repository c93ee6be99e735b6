"""The first member in which two messages differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mockllm.matching.json_difference import explain_json

PART = {"type": "text", "text": "a"}
IMAGE = {"type": "image_url", "image_url": {"url": "x"}}


@pytest.mark.parametrize(
    ("expected", "found", "root", "explained"),
    [
        ({"a": 1}, {"a": 1.0}, "", None),
        (
            {"content": "ab"},
            {"content": "ac"},
            "",
            "text differs at character 1: expected 'b', found 'c'",
        ),
        ({"a": "b"}, {"a": "c"}, "", "a differs at character 0: expected 'b', found 'c'"),
        ({"a": "b"}, {}, "", "a is missing, expected 'b'"),
        ({}, {"a": {"b": 1}}, "", 'a is {"b":1}, expected none'),
        ({"a": True}, {"a": 1}, "", "a is 1, expected true"),
        ({"content": "a"}, {"content": [PART, IMAGE]}, "", "content has 2 entries, expected 1"),
        ({"content": [PART, PART]}, {"content": [PART]}, "", "content has 1 entry, expected 2"),
        (
            {"content": [PART, IMAGE]},
            {"content": [PART, {**IMAGE, "image_url": {"url": "y"}}]},
            "",
            "content[1].image_url.url differs at character 0: expected 'x', found 'y'",
        ),
        (
            {"tool_calls": [{"function": {"arguments": {"json": {"a": 1}}}}]},
            {"tool_calls": [{"function": {"arguments": {"json": {"a": 2}}}}]},
            "",
            "tool_calls[0].function.arguments.a is 2, expected 1",
        ),
        (["a"], ["b"], "input", "input differs at character 0: expected 'a', found 'b'"),
        (["a", "b"], ["a"], "input", "input has 1 entry, expected 2"),
        (
            ["a", "b"],
            ["a", "c"],
            "input",
            "input[1] differs at character 0: expected 'b', found 'c'",
        ),
        (
            [{"role": "user"}, 1],
            [{"role": "tool"}, 1],
            "input",
            "input[0].role is 'tool', expected 'user'",
        ),
        (
            {"content": [IMAGE]},
            {"content": "a"},
            "",
            "content[0].type is 'text', expected 'image_url'",
        ),
        (list(range(99)), [1], "", "message has 1 entry, expected 99"),
        ({"a": "x" * 99}, {}, "", f"a is missing, expected '{'x' * 60}'…"),
    ],
)
def test_the_first_difference_is_explained(
    expected: Any, found: Any, root: str, explained: str | None
) -> None:
    assert (
        explain_json(json.dumps(expected).encode(), json.dumps(found).encode(), root) == explained
    )


def test_what_cannot_be_read_has_no_explanation() -> None:
    assert explain_json(b"[" * 100_000, b"[]") is None
