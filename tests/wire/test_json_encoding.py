"""Writing large JSON values in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.wire import json_encoding, jsontext
from tests.wire.test_jsontext import SCALARS, TEXTS, nested

TEXTS_TO_CUT = st.text(st.sampled_from('a"\\\n\u2028\U0001f600'), max_size=9)


@given(
    st.recursive(
        SCALARS | TEXTS_TO_CUT, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)
    ),
    st.sampled_from([0, 32, 100, 1_000]),
)
def test_what_is_encoded_in_pieces_is_what_is_encoded_at_once(value: Any, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "MAX_TEXT", 3)
        patch.setattr(json_encoding, "_PIECE_OF_TEXT", 2)
        patch.setattr(json_encoding, "_MAX_WEIGHT", most)

        pieces = list(json_encoding.dumps_in_pieces(value))

    assert b"".join(pieces) == jsontext.dumps(value)


def test_a_deep_value_is_encoded_in_pieces() -> None:
    value = [nested(1_000), "long" * json_encoding.MAX_TEXT]

    assert json_encoding.takes_long(value)
    assert b"".join(json_encoding.dumps_in_pieces(value)) == jsontext.dumps(value)


@pytest.mark.parametrize("wrapped", [lambda text: text, lambda text: {"a": [1, {"b": (text,)}]}])
def test_a_text_is_large_from_a_size_on(wrapped: Any) -> None:
    assert not json_encoding.takes_long(wrapped("x" * json_encoding.MAX_TEXT))
    assert json_encoding.takes_long(wrapped("x" * (json_encoding.MAX_TEXT + 1)))


def test_no_piece_of_a_large_text_is_large() -> None:
    pieces = list(json_encoding.dumps_in_pieces({"text": "x" * 1_000_000}))

    assert max(map(len, pieces)) <= json_encoding.MAX_TEXT


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1}] * 100_000,
        {f"name {at}": {} for at in range(100_000)},
        [[[1, 2, 3]] * 100_000, {"a": {"b": ["word"] * 100_000}}],
        [nested(900), [1] * 100_000],
    ],
    ids=["list", "object", "within", "deep"],
)
def test_no_piece_of_many_values_is_large(value: Any) -> None:
    assert json_encoding.takes_long(value)
    pieces = list(json_encoding.dumps_in_pieces(value))

    assert max(map(len, pieces)) <= 2 * json_encoding._MAX_WEIGHT
    assert len(pieces) > 10
    assert b"".join(pieces) == jsontext.dumps(value)
