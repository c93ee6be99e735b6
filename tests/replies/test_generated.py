"""Generated text: as many words as asked for, the same for the same request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.replies.generated import SLICE, WORDS, generate_words


def text_of(key: bytes, count: int) -> str:
    return "".join(generate_words(key, count))


@given(st.binary(), st.integers(0, 500))
def test_a_text_has_as_many_words_as_tokens(key: bytes, count: int) -> None:
    text = text_of(key, count)

    assert len(text.split()) == count
    assert set(text.split()) <= set(WORDS)


@given(st.binary(), st.integers(0, 200), st.integers(0, 200))
def test_a_text_begins_like_any_shorter_one(key: bytes, count: int, more: int) -> None:
    assert text_of(key, count + more).startswith(text_of(key, count))


def test_different_requests_have_different_texts() -> None:
    assert len({text_of(b"%d" % number, 20) for number in range(100)}) == 100


@pytest.mark.parametrize("count", [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
def test_a_long_text_comes_in_slices(count: int) -> None:
    slices = [*generate_words(b"a", count)]

    assert [len(each.split()) for each in slices[:-1]] == [SLICE] * ((count - 1) // SLICE)
    assert len("".join(slices).split(" ")) == count


def test_every_word_is_one_byte_of_a_hash() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
