"""Generated text: as many words as asked for, the same for the same request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.replies.generated import WORDS, generate_words


@given(st.binary(), st.integers(0, 500))
def test_a_text_has_as_many_words_as_tokens(key: bytes, count: int) -> None:
    text = generate_words(key, count)

    assert len(text.split()) == count
    assert set(text.split()) <= set(WORDS)


@given(st.binary(), st.integers(0, 200), st.integers(0, 200))
def test_a_text_begins_like_any_shorter_one(key: bytes, count: int, more: int) -> None:
    assert generate_words(key, count + more).startswith(generate_words(key, count))


def test_different_requests_have_different_texts() -> None:
    assert len({generate_words(b"%d" % number, 20) for number in range(100)}) == 100


def test_every_word_is_one_byte_of_a_hash() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
