from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.needles import FEW, Needles

LETTERS = st.text("abé👩\u200d🚀\x00", max_size=4)


@given(st.lists(LETTERS, unique=True, max_size=4 * FEW), st.text("abé👩\u200d🚀\x00", max_size=60))
def test_the_index_finds_the_substrings_that_a_plain_search_finds(
    texts: list[str], text: str
) -> None:
    expected = {place for place, needle in enumerate(texts) if needle in text}

    assert set(Needles(texts).found_in(text)) == expected


def test_a_text_that_matches_too_often_is_searched_one_by_one() -> None:
    texts = ["a" * length for length in range(1, 200)]

    assert set(Needles(texts).found_in("a" * 20_000)) == set(range(199))


def test_a_frequent_substring_does_not_slow_down_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,000 needles gone through one by one in a megabyte of "a" take 0.2 s, 100,000 take 26."""
    needles = Needles(["a", *(f"b{number}" for number in range(1_000))])
    monkeypatch.setattr(Needles, "_one_by_one", None)

    assert set(needles.found_in("a" * 1_000_000)) == {0}
