"""Cutting text into deltas: nothing is lost, and no grapheme cluster is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockllm.wire import chunking
from mockllm.wire.chunking import Chunk

CHUNKS = st.sampled_from(["word", "char", "token"]) | st.integers(1, 20)
CLUSTERS = [
    "👩‍👩‍👧‍👦",  # joined by ZWJ
    "👍🏽",  # with a modifier
    "🏳️‍🌈",
    "🇩🇪",  # two regional indicators
    "1️⃣",
    "e\u0301\u0323",  # with combining marks
    "\r\n",
    "한",  # conjoining Hangul
    "न्दी",  # a conjunct
    " \u0301",  # a space that bears an accent
    "\u0600 ",  # a prefix that takes the space along
]
TROUBLE = "\u200d\ufe0f\u0301\u094d\u0600\U0001f1e9\U0001f3fd😀क\r\n\t \u2028\u0085\u00a0\u3000ab,é"
TEXTS = st.lists(
    st.sampled_from(CLUSTERS)
    | st.text(TROUBLE, max_size=6)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.text("ab", min_size=15, max_size=18),
    max_size=8,
).map("".join)


def boundaries(text: str) -> set[int]:
    """Boundaries of grapheme clusters, found over the whole text."""
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


@given(TEXTS, CHUNKS)
@example("", "word")
@example("   ", "word")
@example(" \u0301a", "word")
@example("a \u0301", "token")
@example("🇩🇪🇫🇷🇮🇹", "char")
@example("🇩🇪🇫🇷🇮🇹" * 9, "word")
@example(" 🇩🇪🇫🇷" * 3, 1)
@example("a\r\nb\r", "char")
@settings(deadline=None, max_examples=400)
def test_pieces_are_the_text_and_cut_no_cluster(text: str, chunk: Chunk) -> None:
    pieces = list(chunking.split(text, chunk))

    assert "".join(pieces) == text
    assert all(pieces)
    assert set(accumulate(map(len, pieces), initial=0)) <= boundaries(text)


@given(TEXTS, st.integers(1, 20))
@settings(deadline=None)
def test_number_is_that_many_clusters(text: str, size: int) -> None:
    clusters = regex.findall(r"\X", text)
    expected = ["".join(clusters[at : at + size]) for at in range(0, len(clusters), size)]

    assert list(chunking.split(text, size)) == expected
    assert list(chunking.split(text, "char")) == list(chunking.split(text, 1))


@given(st.text("ab \n", max_size=60))
@settings(deadline=None)
def test_word_takes_the_white_space_before_it(text: str) -> None:
    pieces = list(chunking.split(text, "word"))

    assert all(piece[-1].strip() for piece in pieces[:-1])
    assert all(len(piece.strip()) <= chunking.MAX_WORD for piece in pieces)


@pytest.mark.parametrize(
    ("text", "chunk", "pieces"),
    [
        ("", "word", []),
        ("Hello, big world!", "word", ["Hello,", " big", " world!"]),
        (" lead and trail \n", "word", [" lead", " and", " trail", " \n"]),
        ("Internationalization", "word", ["Internationaliza", "tion"]),
        ("Internationalization now", "token", ["Inte", "rnat", "iona", "liza", "tion", " now"]),
        ("no👍🏽 é", "char", ["n", "o", "👍🏽", " ", "é"]),
        ("flags🇩🇪🇫🇷", 3, ["fla", "gs🇩🇪", "🇫🇷"]),
        ("空白なし", 2, ["空白", "なし"]),
        (" ", "token", [" "]),
    ],
)
def test_examples_are_split_as_listed(text: str, chunk: Chunk, pieces: list[str]) -> None:
    assert list(chunking.split(text, chunk)) == pieces


@pytest.mark.parametrize("text", ["lorem 👩\u200d🚀 ", "lorem ipsum", "a", "é"])
@pytest.mark.parametrize("chunk", ["word", "token", "char", 7])
def test_a_very_long_text_arrives_in_larger_deltas(
    text: str, chunk: Chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "MAX_DELTAS", 100)
    text *= 2_000

    pieces = list(chunking.split(text, chunk))

    assert len(pieces) <= 100
    assert "".join(pieces) == text
    whole = chunking._pattern(chunk, plain=False).findall(text)
    single = [str(piece) for piece in whole[:50]]
    assert pieces[:50] == single
    assert len(min(pieces[50:-1], key=len)) > len(max(single, key=len))


def test_a_text_of_half_as_many_pieces_is_not_joined() -> None:
    text = " lorem" * (chunking.MAX_DELTAS // 2)

    assert set(chunking.split(text)) == {" lorem"}


@pytest.mark.parametrize("text", [" ľorem", " lorem"])
def test_no_piece_is_looked_for_before_it_is_taken(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To find the first 10,000 of a text that is not ASCII takes 30 ms."""
    found = 0

    class Counting:
        def finditer(self, text: str) -> Iterator[Any]:
            nonlocal found
            for match in re.finditer(r" \S+", text):
                found += 1
                yield match

    monkeypatch.setattr(chunking, "_pattern", lambda chunk, plain: Counting())
    pieces = chunking.split(text * 100_000)

    assert found == 0
    assert next(pieces) == text
    assert found == 1


ASCII = st.text(st.characters(codec="ascii"), max_size=30)


@given(ASCII, CHUNKS)
@example("a\r\nb\r\r\n", 2)
@example("a\x1cb \x1f", "word")
@example(" \n", "word")
def test_a_plain_text_is_cut_as_any_other(text: str, chunk: Chunk) -> None:
    one, other = (
        [match[0] for match in chunking._pattern(chunk, plain=plain).finditer(text)]
        for plain in (True, False)
    )

    assert one == other
