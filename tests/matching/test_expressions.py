"""Tests by regular expressions: what is one, what it looks at, and the filter of many."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import MissingExtraError
from mockllm.matching.effort import Effort
from mockllm.matching.expressions import (
    MAX_FILTERED_TEXT,
    MAX_TEXT,
    DividedFilter,
    Matches,
    expression_filter,
)
from mockllm.pieces import finish
from tests.support.work import count_pauses

words = st.text("aAbBß", max_size=4)

OTHERS = "; RE2 has no look-around and no back-references, write another condition or 'not'"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a(", "not a regular expression of RE2: missing ): a("),
        (r"(a)\q", r"not a regular expression of RE2: invalid escape sequence: \q"),
        (r"(a)\1", rf"not a regular expression of RE2: invalid escape sequence: \1{OTHERS}"),
        ("(?=a)", f"not a regular expression of RE2: invalid perl operator: (?={OTHERS}"),
        ("(?<!a)b", f"not a regular expression of RE2: invalid perl operator: (?<!{OTHERS}"),
        ("a{101}", "repeats more than 100 times, which takes too long"),
        ("a{2,1000}", "repeats more than 100 times, which takes too long"),
        ("a{99999999999}", "repeats more than 100 times, which takes too long"),
        ("[a-z]{1,100}" * 300, "has more than 2,000 optional parts, which takes too long"),
        ("(?:a{0,20}b){50}" * 3, "has more than 2,000 optional parts, which takes too long"),
        ("a?" * 2_001, "has more than 2,000 optional parts, which takes too long"),
        (r"\pL" * 120, "has more than 40,000 instructions, which takes too long"),
        (r"(?i:\p{Lu}x){60}[[:^digit:]]{60}", "has more than 40,000 instructions, which takes"),
    ],
)
def test_an_expression_is_one_of_re2_with_few_repetitions(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as failed:
        Matches(expression)

    assert reason in str(failed.value)


@pytest.mark.parametrize("expression", [r"a\{1000}", "[{1000}]", "a{100}", "a{2,}"])
def test_braces_that_count_nothing_are_allowed(expression: str) -> None:
    Matches(expression)


@pytest.mark.parametrize(
    "expression",
    [
        r"\p{L}{1,100}",
        "[a-z]{1,100}" * 20,
        "(?:[a-z0-9]{1,63}[.])+[a-z]{2,63}",
        "a?" * 2_000,
        "a" * 100_000,
        "|".join(f"word{number}" for number in range(8_000)),
        r"(?s:.{1,100})(?P<rest>[^,;]*)",
    ],
)
def test_an_expression_that_is_compiled_soon_is_allowed(expression: str) -> None:
    Matches(expression)


@given(st.text(r"a(?:|)*+{1,2}[^-]\pL.<P", max_size=30))
def test_any_text_is_an_expression_or_has_a_reason(expression: str) -> None:
    with contextlib.suppress(ValueError):
        Matches(expression)


def test_a_large_expression_looks_at_less_text() -> None:
    small, large = Matches("needle"), Matches("(?:a?b?c?){100}needle")

    assert large.most < small.most <= MAX_TEXT
    assert small.passes("x" * (small.most - 6) + "needle")
    assert small.passes("x" * small.most + "needle") is None
    assert small.passes("x" * small.most) is False


def test_the_filter_finds_every_expression_that_may_match() -> None:
    tests = [Matches("weather.*Paris"), Matches("RAIN", True), Matches("[0-9]+"), Matches("snow")]
    may_pass = expression_filter(tests)

    assert set(may_pass("weather in Paris")) == {0, 2}
    assert set(may_pass("rain in Rome")) == {1, 2}
    assert set(may_pass("7")) == {2}


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_expressions_with_many_letters_are_found(size: int) -> None:
    letters = "abcdefghij" * (size // 10)
    tests = [Matches(f"{number}-{letters}") for number in range(200_000 // size)]
    may_pass = expression_filter([Matches("weather"), *tests, Matches("Paris")])

    found = {*may_pass(f"weather 1-{letters}")}

    assert {0, 2} <= found
    assert len(found) < len(tests) or size == 100_000  # each is too large for a filter


@given(st.lists(st.sampled_from(["abc", "a.c", "[a-c]+d", "(?i)ABC", "^$"]), min_size=1), words)
def test_the_filter_misses_no_expression_that_matches(expressions: list[str], text: str) -> None:
    tests = [Matches(expression) for expression in expressions]

    found = set(expression_filter(tests)(text))

    assert {at for at, test in enumerate(tests) if test.passes(text)} <= found


@given(st.lists(st.sampled_from(["abc", "a.c", "[a-c]+d", "(?i)ABC"]), max_size=6), words)
def test_a_divided_filter_misses_no_expression_that_matches(
    expressions: list[str], text: str
) -> None:
    tests = [Matches(f"{each}{at % 2 or ''}") for at, each in enumerate(expressions)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.matching.expressions.MAX_FILTERED", 3)
        patch.setattr("mockllm.matching.expressions.MAX_FILTERED_LONG", 2)
        may_pass = DividedFilter(tests)
    matching = {at for at, test in enumerate(tests) if test.passes(text)}

    for each in (text, text + " " * MAX_FILTERED_TEXT):
        assert matching <= set(finish(may_pass(each, Effort())))
    assert matching <= set(may_pass.at_once(text))


def test_many_expressions_are_looked_for_in_a_text_in_pieces() -> None:
    """4,000 held the loop for 25 ms in 35 kB, and for 100 ms in a megabyte."""
    may_pass = DividedFilter([Matches(f"word{number:04}[0-9]+") for number in range(2_000)])

    found, pauses = count_pauses(may_pass("word0007 " * 10_000, Effort()))

    assert list(found) == [7]
    assert pauses == 8


def test_without_google_re2_an_expression_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'mockllm-server\[regex\]'"):
        Matches("a")
