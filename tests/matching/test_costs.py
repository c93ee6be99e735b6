"""Which rules cost time in every request."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.costs import costs_of
from mockllm.matching.expressions import Matches
from mockllm.providers.openai.chat import CHAT
from tests.support.matches import compile_rule

NO_LITERAL = {"user": {"regex": "[0-9]+"}}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, False),
        ({"model": "m"}, False),
        ({"not": {"model": "m"}}, True),
        ({"not": {"model": "m"}, "model": "n"}, False),
        ({"turn": {"at_least": 2}, "tools": []}, True),
        ({"any_of": [{"model": "m"}, {"turn": {"at_least": 2}}]}, True),
        (NO_LITERAL, False),
    ],
)
def test_a_rule_is_compared_with_every_request_if_nothing_can_be_looked_up(
    match: Any, expected: bool
) -> None:
    assert costs_of(compile_rule(CHAT, match)).is_compared is expected


@pytest.mark.parametrize(
    ("match", "named"),
    [
        (NO_LITERAL, "'[0-9]+'"),
        ({"any_of": [{"model": "m"}, NO_LITERAL]}, "'[0-9]+'"),
        ({"body": {"$..tenant": "a"}}, "$..tenant"),
        ({"body": {"$.messages[*].name": {"contains": "a"}}}, "$.messages[*].name"),
    ],
)
def test_what_takes_long_to_look_up_is_named(match: Any, named: str) -> None:
    assert named in costs_of(compile_rule(CHAT, match)).slow_condition


def test_an_expression_that_is_too_large_is_told_apart() -> None:
    expression = "abcdefghij" * 10_000

    told = costs_of(compile_rule(CHAT, {"user": {"regex": expression}})).slow_condition

    assert "no text that every match contains" not in told
    assert told.endswith(
        "is too large to be looked up by its letters, so every request is searched for it: of a "
        f"text, the first {Matches(expression).most:,} characters"
    )


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"user": {"regex": "order [0-9]+"}},
        {**NO_LITERAL, "model": "m"},
        {"body": {"$.metadata.tenant": "a"}},
        {"body": {"$..tenant": "a"}, "tools": ["f"]},
        {"not": NO_LITERAL},
    ],
)
def test_a_rule_that_is_looked_up_fast_is_not_slow(match: Any) -> None:
    assert costs_of(compile_rule(CHAT, match)).slow_condition == ""
