"""Values of a configuration: which are accepted, and what becomes of objects of the SDKs."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from mockllm.config.values import (
    DONE,
    MAX_CHUNK,
    MAX_NESTING,
    ChunkSize,
    Event,
    ListOrNull,
    SDKInput,
    SDKObject,
)
from tests.support.configs import nested


class Part(BaseModel):
    """An object of an SDK."""

    kind: str = Field(alias="type")
    text: str | None = None
    seed: int = 0


PART = Part(type="text")
DUMPED = {"type": "text"}  # by the name in JSON, and only what was set
CHUNKS = ["word", "char", "token", 1, MAX_CHUNK]
NO_CHUNKS: list[Any] = [0, -1, MAX_CHUNK + 1, True, False, "", "words", "1", None, [], {}]


def validated(type_: Any, value: Any) -> Any:
    return TypeAdapter(type_).validate_python(value)


def mistake(type_: Any, value: Any) -> tuple[str, str]:
    """Type and text of the first error of an invalid value."""
    with pytest.raises(ValidationError) as caught:
        validated(type_, value)
    error = caught.value.errors()[0]
    return error["type"], error["msg"]


# -- Objects --


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"a": 1, "b": None}, {"a": 1, "b": None}),
        (PART, DUMPED),
        ({"content": [PART, "hi"]}, {"content": [DUMPED, "hi"]}),
        ({"content": {"part": PART}}, {"content": {"part": DUMPED}}),
        ({"content": (1, (PART,))}, {"content": [1, [DUMPED]]}),
        (OrderedDict(a=MappingProxyType({"b": PART})), {"a": {"b": DUMPED}}),
    ],
)
def test_an_object_becomes_plain_json_at_any_depth(value: Any, data: dict[str, Any]) -> None:
    result = validated(SDKObject, value)
    assert result == data
    assert type(result) is dict


def test_null_that_was_set_is_kept() -> None:
    assert validated(SDKObject, Part(type="text", text=None)) == {"type": "text", "text": None}


@pytest.mark.parametrize("value", [None, 3, "a", [], [("a", 1)]])
def test_only_an_object_is_an_object(value: Any) -> None:
    assert mistake(SDKObject, value)[0] == "dict_type"


def test_the_value_given_is_not_modified() -> None:
    given = {"content": (PART,)}
    validated(SDKObject, given)
    assert given == {"content": (PART,)}


def test_an_object_may_be_nested_as_deep_as_the_maximum() -> None:
    assert validated(SDKObject, nested(MAX_NESTING)) == nested(MAX_NESTING)


def test_an_object_nested_deeper_is_an_error() -> None:
    expected = ("too_deep", f"nested deeper than {MAX_NESTING} levels")
    assert mistake(SDKObject, nested(MAX_NESTING + 1)) == expected


@pytest.mark.parametrize("type_", [SDKObject, Event])
def test_an_object_that_contains_itself_is_too_deep(type_: Any) -> None:
    value: dict[str, Any] = {}
    value["self"] = [value]
    assert mistake(type_, value)[0] == "too_deep"


# -- Input --


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("hi", "hi"),
        ("", ""),
        ([], []),
        ([PART, {"a": (PART,)}], [DUMPED, {"a": [DUMPED]}]),
        ((1, 2), [1, 2]),
    ],
)
def test_an_input_is_a_string_or_a_list(value: Any, data: Any) -> None:
    assert validated(SDKInput, value) == data


@pytest.mark.parametrize("value", [None, 3, {}, PART, {1, 2}, b"hi"])
def test_any_other_input_is_an_error(value: Any) -> None:
    assert mistake(SDKInput, value) == ("input_type", "expected a string or a list")


# -- Events --


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (DONE, DONE),
        ({}, {}),
        ({"delta": PART}, {"delta": DUMPED}),
        (PART, DUMPED),
        (MappingProxyType({"a": 1}), {"a": 1}),
    ],
)
def test_an_event_is_an_object_or_the_end(value: Any, data: Any) -> None:
    assert validated(Event, value) == data


@pytest.mark.parametrize("value", ["done", "", None, 3, [], [DONE]])
def test_any_other_event_is_an_error(value: Any) -> None:
    assert mistake(Event, value) == ("event", "expected an object or '[DONE]'")


# -- Chunks --


@pytest.mark.parametrize("value", CHUNKS)
def test_a_chunk_is_a_unit_or_a_number_of_graphemes(value: Any) -> None:
    assert validated(ChunkSize, value) == value


@pytest.mark.parametrize("value", [*NO_CHUNKS, 1.0])
def test_any_other_chunk_is_an_error(value: Any) -> None:
    expected = "expected 'word', 'char', 'token' or a number of graphemes, 1 to 1,000,000"
    assert mistake(ChunkSize, value) == ("chunk", expected)


# -- The JSON Schema --


@pytest.mark.parametrize(
    ("type_", "valid", "invalid"),
    [
        (ChunkSize, CHUNKS, NO_CHUNKS),
        (Event, [DONE, {}, {"a": 1}], ["done", None, 3, []]),
        (SDKObject, [{}, {"a": [1]}], ["a", None, []]),
        (SDKInput, ["hi", [], [1]], [None, 3, {}]),
    ],
)
def test_the_schema_accepts_the_same_values(
    type_: Any, valid: list[Any], invalid: list[Any]
) -> None:
    validator = jsonschema.Draft202012Validator(TypeAdapter(type_).json_schema())
    assert [value for value in valid if not validator.is_valid(value)] == []
    assert [value for value in invalid if validator.is_valid(value)] == []


# -- Lists --


LIST = TypeAdapter(ListOrNull[int])


@pytest.mark.parametrize(("value", "expected"), [(None, []), ([], []), ([1], [1])])
def test_null_is_like_a_missing_list(value: Any, expected: Any) -> None:
    assert LIST.validate_python(value) == expected
    jsonschema.validate(value, LIST.json_schema())


@pytest.mark.parametrize("value", [0, "", {}])
def test_only_null_is_like_a_missing_list(value: Any) -> None:
    with pytest.raises(ValidationError):
        LIST.validate_python(value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, LIST.json_schema())
