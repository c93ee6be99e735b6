"""Texts that differ in what readers overlook."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.folding import (
    MAX_FOLDED,
    MAX_TEXTS,
    explain_absence,
    explain_difference,
    find_folded,
    fold,
    fold_all,
)

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello", "hello"),
        ("stra\u00dfe", "STRASSE"),
        (f"caf{COMPOSED}", f"caf{DECOMPOSED}"),
        (f"caf{COMPOSED}", "cafe"),
        (" a  b\n", "a b"),
        ("a\u00a0b", "a b"),
        ("a\u200bb", "ab"),
        ("it\u2019s \u201cso\u201d", 'it\'s "so"'),
        ("a \u2013 b", "a - b"),
        ("\u0430\u0441\u0435", "ace"),  # Cyrillic
        ("\uff21\ufb01", "afi"),  # full width, a ligature
        ("\u2026", "..."),
    ],
)
def test_what_readers_overlook_is_folded(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("ab", "a b"), ("\u65e5", "\u6708")])
def test_other_differences_stay(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_the_beginning_of_a_text_is_folded() -> None:
    assert fold("A" * 5_000) == "a" * MAX_FOLDED


def test_of_many_texts_the_first_and_the_last_are_folded() -> None:
    texts = [f"T{number}" for number in range(100)]

    folded = fold_all(texts).split()

    assert len(folded) == MAX_TEXTS
    assert (folded[0], folded[-1]) == ("t0", "t99")
    assert fold_all(["A", "", " B "]) == "a b"
    assert fold_all([]) == ""


@pytest.mark.parametrize(
    ("expected", "found", "explained"),
    [
        ("abc", "abd", "differs at character 2: expected 'c', found 'd'"),
        ("abc", "ab", "differs at character 2: expected 'c', found ''"),
        ("Abc", "abc", "differs at character 0, in case only: expected 'Abc', found 'abc'"),
        ("a  b", "a b", "differs at character 2, in white space only: expected ' b', found 'b'"),
        (
            "cafe",
            f"caf{COMPOSED}",
            "differs at character 3, in accents only: expected 'e', found 'é'",
        ),
        (
            "A  b",
            "a b",
            (
                "differs at character 0, in case, accents or white space only: "
                "expected 'A  b', found 'a b'"
            ),
        ),
        (
            COMPOSED,
            DECOMPOSED,
            (
                "differs at character 0, in look-alike characters only: "
                f"expected '{COMPOSED}' (U+00E9), found '{DECOMPOSED}' (U+0065 U+0301)"
            ),
        ),
        (
            f"x {DECOMPOSED}y",
            f"x {COMPOSED}z",
            (
                f"differs at character 2: expected '{DECOMPOSED}y' (U+0065 U+0301), "
                f"found '{COMPOSED}z' (U+00E9)"
            ),
        ),
        (
            "a\u00a0b",
            "a b",
            (
                "differs at character 1, in white space only: "
                "expected '\\xa0b' (U+00A0), found ' b' (U+0020)"
            ),
        ),
        (
            "ab",
            "a\u200bb",
            (
                "differs at character 0, in look-alike characters only: "
                "expected 'ab' (U+0061), found 'a\\u200bb' (U+0061 U+200B)"
            ),
        ),
        (
            "it's",
            "it\u2019s",
            (
                "differs at character 2, in look-alike characters only: "
                "expected \"'s\" (U+0027), found '\u2019s' (U+2019)"
            ),
        ),
        (
            "\u0430",
            "a",
            (
                "differs at character 0, in look-alike characters only: "
                "expected '\u0430' (U+0430), found 'a' (U+0061)"
            ),
        ),
        (
            "\U0001f44d",
            "\U0001f44d\ufe0f",
            (
                "differs at character 0, in look-alike characters only: "
                "expected '\U0001f44d' (U+1F44D), found '\U0001f44d\ufe0f' (U+1F44D U+FE0F)"
            ),
        ),
        ("\u65e5", "\u6708", "differs at character 0: expected '\u65e5', found '\u6708'"),
        (
            "a" * 2_000,
            "A" * 2_000,
            f"differs at character 0: expected '{'a' * 60}'…, found '{'A' * 60}'…",
        ),
    ],
)
def test_a_difference_is_explained(expected: str, found: str, explained: str) -> None:
    assert explain_difference(expected, found) == explained


@pytest.mark.parametrize(
    ("wanted", "texts", "explained"),
    [
        ("x", [], "no text contains 'x'"),
        ("x", ["a", "b"], "no text contains 'x'"),
        (
            "In Rome",
            ["a", "is it in rome?"],
            "no text contains 'In Rome', only 'in rome', which differs in case",
        ),
        (
            "in Rome",
            ["so in\n Rome"],
            "no text contains 'in Rome', only 'in\\n Rome', which differs in white space",
        ),
        (
            f"caf{COMPOSED}",
            [f"un caf{DECOMPOSED} noir"],
            (
                f"no text contains 'caf{COMPOSED}' (U+00E9), "
                f"only 'caf{DECOMPOSED}' (U+0065 U+0301), "
                "which differs in look-alike characters"
            ),
        ),
    ],
)
def test_an_absence_is_explained(wanted: str, texts: list[str], explained: str) -> None:
    assert explain_absence(wanted, texts) == explained


@given(
    st.text("aB \u00e9e\u0301\u200b\u00df\n"), st.text("aB \u00e9e\u0301\u200b\u00df\n", min_size=1)
)
def test_what_is_found_is_a_part_of_the_text_and_equal_when_folded(text: str, wanted: str) -> None:
    found = find_folded(wanted, text)

    if found is not None:
        assert found in text
        assert fold(found) == fold(wanted)


def test_what_is_not_there_is_not_found() -> None:
    assert find_folded("x", "abc") is None
    assert find_folded("", "abc") is None
    assert find_folded("a" * 2_000, "A" * 3_000) is None
