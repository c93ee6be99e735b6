"""Schemas as bytes, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.validation.choosers import Function
from mockllm.validation.stored_schema import Never, StoredSchema, dump, load

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | FINITE | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(schema=st.dictionaries(st.text(), JSON))
def test_what_was_dumped_is_loaded(schema: dict[str, Any]) -> None:
    loaded = load(dump(schema))

    assert loaded == schema
    assert repr(loaded) == repr(schema)  # tuples, not lists


def test_a_function_is_made_at_its_place() -> None:
    choose = Function("by_json_type", [{"str": "a", "list": "b"}])
    schema = {"of": [{"discriminator": choose}, ({"discriminator": choose}, "label")]}

    stored = dump(schema)
    loaded = load(stored)

    assert stored.foreign == ()
    for each in (loaded["of"][0], loaded["of"][1][0]):
        made = each["discriminator"]
        assert [made(""), made([]), made(5)] == ["a", "b", None]


def test_the_type_without_instances_is_there_again() -> None:
    assert load(dump([{"cls": Never}])) == [{"cls": Never}]


@pytest.mark.parametrize("foreign", [object(), {1: "a"}, float("nan"), 2**64, b"bytes", int])
def test_what_bytes_cannot_represent_is_handed_over(foreign: Any) -> None:
    stored = dump({"a": [foreign]})

    assert stored.foreign == (foreign,)
    assert load(stored)["a"][0] is foreign


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{},[[["a"],"never",[]]]]',
        b'[{"a":1},[[["a"],"unknown",[]]]]',
        b'[{"a":1},[[["a"],"by_json_type",[]]]]',
        b'[{"a":1},[[["a"],"by_json_type",[{"complex":""}]]]]',
        b'[{"a":1},[[["a"],"foreign",[0]]]]',
        b'[{"a":1},[[["a","b"],"never",[]]]]',
    ],
)
def test_other_bytes_are_an_error(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        load(StoredSchema(data))
