"""Core schemas: what they accept in JSON, whatever wraps them."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from mockllm.validation.core_schema import (
    NONE,
    CoreSchemas,
    core_schema,
    fields_of,
    is_required,
    tagged_members,
)
from tests.support.small_types import Image, Note, Source, Text


class Reply(BaseModel):
    """A model, as the SDKs' responses are."""

    type: Literal["reply"]
    text: str
    seed: int = 0
    note: str | None = None


def types_of(type_: Any) -> set[type] | None:
    """The types of decoded JSON that `type_` accepts."""
    schema, definitions = core_schema(type_)
    return CoreSchemas(definitions).json_types(schema)


def kinds_of(type_: Any) -> list[str]:
    """The kinds of the variants of `type_`, in order."""
    schema, definitions = core_schema(type_)
    schemas = CoreSchemas(definitions)
    return [schemas.resolved(variant)["type"] for variant in schemas.flat(schema)]


# -- References and wrappers --


def test_a_type_that_refers_to_nothing_has_no_definitions() -> None:
    schema, definitions = core_schema(str)
    assert schema["type"] == "str"
    assert definitions == {}


def test_a_type_that_contains_itself_is_a_reference_to_its_definition() -> None:
    schema, definitions = core_schema(Note)
    schemas = CoreSchemas(definitions)
    assert schema["type"] == "definition-ref"
    definition = schemas.definition(schema["schema_ref"])
    assert definition["type"] == "typed-dict"
    assert schemas.resolved(schema) is definition


def test_an_unknown_reference_is_an_error() -> None:
    with pytest.raises(KeyError):
        CoreSchemas({}).definition("missing")


def test_every_wrapper_is_unwrapped() -> None:
    inner = {"type": "str"}
    other = {"type": "int"}
    wrapped = {
        "type": "default",
        "default": "",
        "schema": {
            "type": "json-or-python",
            "python_schema": other,
            "json_schema": {
                "type": "lax-or-strict",
                "lax_schema": other,
                "strict_schema": {"type": "definition-ref", "schema_ref": "shared"},
            },
        },
    }
    assert CoreSchemas({"shared": inner}).resolved(wrapped) is inner


# -- Variants --


@pytest.mark.parametrize(
    ("type_", "kinds"),
    [
        (str, ["str"]),
        (str | int, ["str", "int"]),
        (str | None, ["none", "str"]),
        (str | Annotated[int | float, Field(description="nested")], ["str", "int", "float"]),
        (
            Annotated[Text | Image, Field(discriminator="type")],
            ["typed-dict", "typed-dict"],
        ),
        (Text | Reply, ["typed-dict", "model"]),
    ],
)
def test_variants_are_flat_and_in_order(type_: Any, kinds: list[str]) -> None:
    assert kinds_of(type_) == kinds


def test_a_python_object_is_no_variant() -> None:
    schema = {"type": "union", "choices": [{"type": "is-instance", "cls": BytesIO}, NONE]}
    assert list(CoreSchemas({}).flat(schema)) == [NONE]


def test_a_choice_with_a_label_is_the_same_variant() -> None:
    schema = {"type": "union", "choices": [({"type": "str"}, "label")]}
    assert list(CoreSchemas({}).flat(schema)) == [{"type": "str"}]


def test_an_object_stays_a_reference() -> None:
    """So that the definition is shared."""
    schema, definitions = core_schema(Note)
    assert list(CoreSchemas(definitions).flat(schema)) == [schema]


# -- JSON types --


@pytest.mark.parametrize(
    ("type_", "types"),
    [
        (str, {str}),
        (int, {int}),
        (float, {float, int}),
        (bool, {bool}),
        (None, {NoneType}),
        (list[str], {list}),
        (Iterable[str], {list}),
        (dict[str, int], {dict}),
        (Text, {dict}),
        (Note, {dict}),
        (Reply, {dict}),
        (Literal["a", 1], {str, int}),
        (Literal[True, None], {bool, NoneType}),
        (str | list[int] | None, {str, list, NoneType}),
    ],
)
def test_json_types_are_those_of_decoded_json(type_: Any, types: set[type]) -> None:
    assert types_of(type_) == types


def test_the_json_types_of_a_validated_value_are_those_before_its_validator() -> None:
    schema = {"type": "function-after", "schema": {"type": "nullable", "schema": {"type": "str"}}}
    assert CoreSchemas({}).json_types(schema) == {NoneType, str}


@pytest.mark.parametrize("type_", [Any, str | Any, bytes])
def test_json_types_are_unknown_if_one_variant_is(type_: Any) -> None:
    assert types_of(type_) is None


def test_json_types_are_unknown_if_those_before_a_validator_are() -> None:
    schema = {"type": "function-after", "schema": {"type": "any"}}
    assert CoreSchemas({}).json_types(schema) is None


def test_a_path_is_a_string_in_json() -> None:
    assert types_of(Path) == {str}


# -- Tags and members --


def tags_of(type_: Any, member: str) -> list[str]:
    """The tags of an object's member."""
    schema, definitions = core_schema(type_)
    schemas = CoreSchemas(definitions)
    return schemas.tags(schemas.resolved(schema), member)


def test_tags_are_the_strings_of_a_literal() -> None:
    assert tags_of(Image, "detail") == ["low", "high"]
    assert tags_of(Reply, "type") == ["reply"]


def test_tags_are_only_strings() -> None:
    class Mixed(TypedDict):
        type: Literal["a", 1, True] | Literal["b"] | None

    assert tags_of(Mixed, "type") == ["a", "b"]


@pytest.mark.parametrize("member", ["url", "missing"])
def test_a_member_that_is_no_enum_has_no_tags(member: str) -> None:
    assert tags_of(Source, member) == []


def test_tagged_members_are_those_of_typed_dicts_alone() -> None:
    assert tagged_members([Text | Reply, str]) == {"text": {"type", "text"}}


def test_tagged_members_of_models_are_found_if_they_are_asked_for() -> None:
    assert tagged_members([Text | Image], of_models=True) == {
        "text": {"type", "text"},
        "image": {"type", "source", "detail"},
    }
    assert tagged_members([Text | Reply, str], of_models=True) == {
        "text": {"type", "text"},
        "reply": {"type", "text", "seed", "note"},
    }


def test_tagged_members_of_no_types_are_none() -> None:
    assert tagged_members([]) == {}


def test_fields_are_those_of_a_typed_dict_or_a_model() -> None:
    assert fields_of(core_schema(Text)[0]).keys() == {"type", "text"}
    assert fields_of(core_schema(Reply)[0]).keys() == {"type", "text", "seed", "note"}


@pytest.mark.parametrize(
    ("type_", "required"),
    [
        (Image, {"type", "source"}),
        (Reply, {"type", "text"}),
    ],
)
def test_required_fields_are_those_without_which_an_object_is_invalid(
    type_: Any, required: set[str]
) -> None:
    fields = fields_of(core_schema(type_)[0])
    assert {name for name, field in fields.items() if is_required(field)} == required
