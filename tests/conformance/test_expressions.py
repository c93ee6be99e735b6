"""Texts that match an expression."""

from __future__ import annotations

import pytest

from mockllm.conformance.expressions import find_matching
from mockllm.matching.expressions import Matches


@pytest.mark.parametrize(
    "expression",
    [
        "weather",
        "^weather in (Paris|Rome)$",
        r"\bweather\b",
        r"[0-9]+ degrees",
        r"\d{2,3}(?:,\d+)?%",
        r"(?i)hello, \w+",
        r"(?P<city>[A-Z][a-z]+)\s*!",
        r"(?<city>Paris)",
        r"(?i:paris)\.",
        r"[^a-z0-9 A-Z_.-]",
        r"[[:upper:]]{3}",
        r"[]a]",
        r"[^]a]",
        r"\pL\x{3b2}\x41\.",
        r"\Qa.b*c\E+",
        r"\Aa.*?z\z",
        r"a\tb\n",
        r"()|x",
        r"日本{2}",
        r"[日本]",
        ".",
    ],
)
def test_an_expression_has_a_text(expression: str) -> None:
    test = Matches(expression)

    assert any(map(test.passes, find_matching(expression)))


@pytest.mark.parametrize("expression", [r"\bhi\b\B", r"a$b"])
def test_of_an_expression_that_matches_nothing_no_text_does(expression: str) -> None:
    assert not any(map(Matches(expression).passes, find_matching(expression)))
