"""Vectors of embeddings, encoded as a request asks for."""

from __future__ import annotations

import base64
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.pieces import finish
from mockllm.providers.openai.embeddings import vectors
from mockllm.providers.openai.embeddings.vectors import GeneratedVector, encode, vector


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_numbers_become_little_endian_floats() -> None:
    assert encode([1.0, -0.5, 2], base64=True) == "AACAPwAAAL8AAABA"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_vector_is_the_same_in_both_encodings(numbers: list[float]) -> None:
    text = encode(numbers, base64=True)

    assert encode(text, base64=False) == numbers
    assert encode(text, base64=True) == text
    assert encode(numbers, base64=False) == numbers


@pytest.mark.parametrize(
    "embedding",
    ["", "odd", "é", "AACA", "AACAPw=", packed(float("nan")), packed(float("inf")), None, 5, {}],
)
def test_what_is_no_vector_stays_where_numbers_are_asked_for(embedding: Any) -> None:
    assert encode(embedding, base64=False) == embedding


@pytest.mark.parametrize("embedding", [["a"], [True], [1e300], [10**400], None, 5, {}])
def test_what_is_no_vector_stays_where_base64_is_asked_for(embedding: Any) -> None:
    assert encode(embedding, base64=True) == embedding


def test_generated_vectors_do_not_lose_precision_in_base64() -> None:
    numbers = vector("a", 9)

    assert encode(encode(numbers, base64=True), base64=False) == numbers


@given(
    st.text(max_size=9) | st.lists(st.integers(0, 10**6) | st.floats(0, 9), max_size=9),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_a_vector_in_pieces_is_the_same(
    value: Any, at_once: int, dimensions: int, begun: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "CHARACTERS_AT_ONCE", at_once)
        patch.setattr(vectors, "TOKENS_AT_ONCE", at_once)
        generated = GeneratedVector(value, dimensions)

    first = generated.in_pieces()
    for _ in zip(range(begun), first, strict=False):
        pass
    found = finish(generated.in_pieces())

    assert found == vector(value, dimensions)
    assert finish(generated.in_pieces()) == found
    assert generated.is_long == (len(value) > at_once)


@pytest.mark.parametrize(
    "value",
    ["a" * 3 * vectors.CHARACTERS_AT_ONCE, [7] * 3 * vectors.TOKENS_AT_ONCE],
    ids=["text", "tokens"],
)
def test_there_is_a_pause_after_each_slice(value: Any) -> None:
    assert len(list(GeneratedVector(value, 1).in_pieces())) == 3


def test_tokens_are_let_go_of_while_they_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "TOKENS_AT_ONCE", 1)
    tokens = [10**9 + each for each in range(3)]  # no small integers, which all refer to
    generated = GeneratedVector(tokens, 1)
    others = [sys.getrefcount(each) - 1 for each in tokens]

    def referred() -> list[int]:
        counts = [sys.getrefcount(each) for each in tokens]
        return [count - other for count, other in zip(counts, others, strict=True)]

    held = [referred(), *(referred() for _ in generated.in_pieces())]

    assert held == [[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]]
