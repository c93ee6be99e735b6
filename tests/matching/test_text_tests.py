"""Tests of texts: what passes, and which test covers which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Contains,
    EndsWith,
    Equals,
    StartsWith,
    TextTest,
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
