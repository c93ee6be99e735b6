from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.substrings import MAX_WITHOUT_AUTOMATON, SubstringIndex

LETTERS = st.text("abé👩\u200d🚀\x00", max_size=4)


@given(
    st.lists(LETTERS, unique=True, max_size=4 * MAX_WITHOUT_AUTOMATON),
    st.text("abé👩\u200d🚀\x00", max_size=60),
)
def test_the_index_finds_the_substrings_that_a_plain_search_finds(
    texts: list[str], text: str
) -> None:
    expected = {place for place, needle in enumerate(texts) if needle in text}

    assert set(SubstringIndex(texts).matches(text)) == expected


def test_a_text_that_matches_too_often_is_searched_one_by_one() -> None:
    texts = ["a" * length for length in range(1, 200)]

    assert set(SubstringIndex(texts).matches("a" * 20_000)) == set(range(199))


def test_a_frequent_substring_does_not_slow_down_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,000 needles gone through one by one in a megabyte of "a" take 0.2 s, 100,000 take 26."""
    needles = SubstringIndex(["a", *(f"b{number}" for number in range(1_000))])
    monkeypatch.setattr(SubstringIndex, "_one_by_one", None)

    assert set(needles.matches("a" * 1_000_000)) == {0}
