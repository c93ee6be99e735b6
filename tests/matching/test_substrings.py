from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.effort import Effort
from mockllm.matching.substrings import MAX_WITHOUT_AUTOMATON, SubstringIndex
from mockllm.pieces import finish

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


@given(
    st.lists(LETTERS, unique=True, max_size=4 * MAX_WITHOUT_AUTOMATON),
    st.text("abé👩\u200d🚀\x00", max_size=60),
    st.integers(0, 60),
    st.integers(1, 60),
)
def test_a_search_in_pieces_finds_the_same(
    texts: list[str], text: str, max_indexed: int, at_once: int
) -> None:
    index = SubstringIndex(texts, max_indexed=max_indexed)
    index._at_once = at_once

    found = finish(index.matches_in_pieces(text, Effort()))

    assert set(found) == set(index.matches(text))


SEARCH = """
from mockllm.matching.effort import Effort
from mockllm.pieces import finish
from mockllm.matching.substrings import SubstringIndex

index = SubstringIndex(["ab🚀", "🚀b", *(chr(97 + number) * 3 for number in range(20))])
index._at_once = 16
for text in ("-" * 32 + "🚀" * 32, "🚀" * 32 + "-" * 32, ("ab🚀" + "-" * 29) * 8):
    for _ in range(10):
        assert set(finish(index.matches_in_pieces(text, Effort()))) == set(index.matches(text))
"""


def test_a_search_in_pieces_frees_what_it_has_and_no_more() -> None:
    """Parts with and without characters beyond U+FFFF: the library would free the memory of one."""
    checked = {**os.environ, "PYTHONMALLOC": "debug"}
    subprocess.run([sys.executable, "-c", SEARCH], env=checked, check=True)


@given(
    st.lists(LETTERS, unique=True, max_size=4 * MAX_WITHOUT_AUTOMATON),
    st.text("abé👩\u200d🚀\x00", max_size=60),
    st.integers(0, 60),
)
def test_an_index_of_the_beginnings_finds_the_same(
    texts: list[str], text: str, max_indexed: int
) -> None:
    index = SubstringIndex(texts, max_indexed=max_indexed)
    expected = set(SubstringIndex(texts).matches(text))

    assert set(index.matches(text)) == expected
    assert index.some_matches(text, 1_000) == expected


@pytest.mark.parametrize("max_indexed", [10, 100_000])
def test_some_matches_are_found_in_bounded_time(max_indexed: int) -> None:
    index = SubstringIndex(["b", *("a" * size for size in range(1, 200))], max_indexed=max_indexed)

    assert index.some_matches("b" + "a" * 1_000, 0) == set()
    found = index.some_matches("b" + "a" * 1_000, 10)
    assert 0 in found
    assert len(found) <= 10


def test_the_automaton_is_bounded() -> None:
    """Ten needles of a million characters take 460 MB."""
    texts = [f"{number}" * 100 for number in range(1, 10)]
    index = SubstringIndex(texts, max_indexed=50)

    assert set(index.matches("1" * 100 + "2" * 99)) == {0}
    assert index._automaton is not None
    assert index._automaton.get_stats()["nodes_count"] <= 60


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
