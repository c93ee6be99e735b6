"""Vectors of embeddings, encoded as a request asks for."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.providers.openai.embeddings.vectors import encode, vector


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
