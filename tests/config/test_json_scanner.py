"""The slow scanner of JSON texts: it agrees with the decoders, and locates duplicate keys."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mockllm.config.json_scanner import Duplicate, Unexpected, scan

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
PIECES = st.sampled_from([*'{}[],:"\\0123.-+eE \n', "true", "null", '"a"', "\\u00e9", "\t", "é"])


def is_json(text: str) -> bool:
    try:
        list(scan(text))
    except Unexpected:
        return False
    return True


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_a_json_text_is_accepted_and_has_no_duplicates(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    assert list(scan(json.dumps(value, indent=indent, ensure_ascii=ascii_only))) == []


@given(st.lists(PIECES, max_size=12).map("".join))
@example("1e310")
def test_the_scanner_accepts_what_the_decoder_accepts(text: str) -> None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        is_too_great = "number is infinity" in str(exc)  # JSON, but no double
        assert is_too_great or not is_json(text)
    else:
        assert is_json(text)


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_every_key_after_its_first_is_a_duplicate(keys: list[str]) -> None:
    text = "[0,{" + ",".join(f'"{key}":1' for key in keys) + "}]"
    offsets = [4 + 6 * index for index in range(len(keys))]

    assert list(scan(text)) == [
        Duplicate((1,), key, offset, offsets[keys.index(key)])
        for index, (key, offset) in enumerate(zip(keys, offsets, strict=True))
        if key in keys[:index]
    ]


def test_keys_are_compared_as_texts() -> None:
    assert [found.key for found in scan('{"\\u0061": 1, "a": {"a": 1}}')] == ["a"]


def test_depth_is_not_limited() -> None:
    assert is_json("[" * 50_000 + "]" * 50_000)


@pytest.mark.parametrize(
    "text", ["", "1 2", "{]", "[}", '{"a" 1}', "[1,]", '{"a":1,}', "nul", "01"]
)
def test_any_other_text_is_unexpected(text: str) -> None:
    assert not is_json(text)
