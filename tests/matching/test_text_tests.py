"""Tests of texts: what passes, and which test covers which."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import MissingExtraError
from mockllm.matching import text_tests
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Contains,
    EndsWith,
    Equals,
    Matches,
    StartsWith,
    TextTest,
    expression_filter,
)

words = st.text("aAbBß", max_size=4)
comparisons = st.builds(
    lambda kind, value, ignores_case: kind(value, ignores_case),
    st.sampled_from([Equals, Contains, StartsWith, EndsWith]),
    words,
    st.booleans(),
)


def several(inner: st.SearchStrategy[TextTest]) -> st.SearchStrategy[TextTest]:
    lists = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(lists.map(AllTests), lists.map(AnyTest))


tests_of_texts: st.SearchStrategy[TextTest] = st.recursive(comparisons, several, max_leaves=4)


@given(tests_of_texts, tests_of_texts, words)
def test_a_test_that_covers_another_passes_whenever_it_does(
    one: TextTest, other: TextTest, text: str
) -> None:
    if one.covers(other) and other.passes(text):
        assert one.passes(text)


@given(tests_of_texts)
def test_a_test_covers_itself(test: TextTest) -> None:
    assert test.covers(test)


@pytest.mark.parametrize(
    ("test", "covered"),
    [
        (Contains("a"), Equals("bab")),
        (Contains("a"), StartsWith("ab")),
        (StartsWith("a"), Equals("ab")),
        (EndsWith("b"), EndsWith("ab")),
        (Contains("A", True), Contains("a")),
        (AnyTest((Contains("a"), Contains("b"))), Equals("b")),
        (Contains("a"), AllTests((Equals("a"), Contains("b")))),
        (Contains("a"), AnyTest((Equals("a"), Equals("ba")))),
    ],
)
def test_a_test_covers_those_that_imply_it(test: TextTest, covered: TextTest) -> None:
    assert test.covers(covered)
    assert not covered.covers(test)


def test_closeness_counts_the_characters_that_agree() -> None:
    assert Equals("weather").closeness("weapon") == 3
    assert Contains("weather").closeness("the weapon") == 3
    assert Contains("WEATHER", True).closeness("the weapon") == 3
    assert AnyTest((Equals("x"), Equals("wet"))).closeness("weapon") == 2


def test_a_text_that_contains_an_exact_one_suggests_so() -> None:
    assert "contains" in Equals("Paris").hint("weather in Paris?")
    assert Equals("Rome").hint("weather in Paris?") == ""


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("test", "text", "hint"),
    [
        (Equals("HELLO"), "Hello", '; it differs in case only: write "ignore_case": true'),
        (Contains("Be KIND"), "so be kind", '; it differs in case only: write "ignore_case": true'),
        (StartsWith("a  b"), "a b c", "; it differs in white space only: expected ' b', found 'b'"),
        (
            EndsWith(COMPOSED),
            f"x {DECOMPOSED}",
            (
                "; it differs in look-alike characters only: "
                "expected '\u00e9' (U+00E9), found 'e\u0301' (U+0065 U+0301)"
            ),
        ),
        (
            AnyTest((Equals("x"), Contains("CAFE", True))),
            f"my {COMPOSED}",
            "; it differs in accents only: expected 'e', found '\u00e9'",
        ),
        (AllTests((Contains("a"), Contains("B"))), "ab", '; it differs in case only: write "ig'),
        (AllTests((Contains("x"), Contains("B"))), "ab", ""),
        (StartsWith("HELLO"), "say hello", ""),
        (EndsWith("HELLO"), "hello you", ""),
        (Equals("HELLO"), "hello you", ""),
        (Equals("x" * 1_001), "X" * 1_001, ""),
        (Equals("a" * 1_000), "A" * 1_000 + "b", ""),
        (Contains(""), "", ""),
    ],
)
def test_what_readers_overlook_is_told(test: TextTest, text: str, hint: str) -> None:
    assert test.hint(text).startswith(hint)
    assert bool(test.hint(text)) is bool(hint) is bool(test.likeness(text))


# --- expressions ----------------------------------------------------------------------------------

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
    ],
)
def test_an_expression_is_one_of_re2_with_few_repetitions(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as failed:
        Matches(expression)

    assert reason in str(failed.value)


@pytest.mark.parametrize("expression", [r"a\{1000}", "[{1000}]", "a{100}", "a{2,}"])
def test_braces_that_count_nothing_are_allowed(expression: str) -> None:
    Matches(expression)


def test_a_large_expression_looks_at_less_text() -> None:
    small, large = Matches("needle"), Matches("(?:a?b?c?){100}needle")

    assert large.most < small.most <= text_tests.MAX_EXPRESSION_TEXT
    assert small.passes("x" * (small.most - 6) + "needle")
    assert not small.passes("x" * small.most + "needle")


def test_the_filter_finds_every_expression_that_may_match() -> None:
    tests = [Matches("weather.*Paris"), Matches("RAIN", True), Matches("[0-9]+"), Matches("snow")]
    may_pass = expression_filter(tests)

    assert set(may_pass("weather in Paris")) == {0, 2}
    assert set(may_pass("rain in Rome")) == {1, 2}
    assert set(may_pass("7")) == {2}


@given(st.lists(st.sampled_from(["abc", "a.c", "[a-c]+d", "(?i)ABC", "^$"]), min_size=1), words)
def test_the_filter_misses_no_expression_that_matches(expressions: list[str], text: str) -> None:
    tests = [Matches(expression) for expression in expressions]

    found = set(expression_filter(tests)(text))

    assert {at for at, test in enumerate(tests) if test.passes(text)} <= found


def test_without_google_re2_an_expression_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'mockllm-server\[regex\]'"):
        Matches("a")
