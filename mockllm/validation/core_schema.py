"""Reads from pydantic core schemas which JSON they accept.

A core schema is plain data. It refers to shared schemas by name, wraps them for defaults and Python
objects, and nests unions. None of that matters for JSON, and `CoreSchemas` hides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, TypeAlias

from pydantic import TypeAdapter

Schema: TypeAlias = dict[str, Any]  # a pydantic core schema, which is plain data

NONE: Schema = {"type": "none"}
TAGS = ("type", "role")
"""Members by which an object of a union is recognised, the first that all have."""

# Kind of core schema -> the Python types of the decoded JSON that it accepts.
JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "generator": (list,),
    "dict": (dict,),
    "typed-dict": (dict,),
    "model": (dict,),
    "none": (NoneType,),
}


def core_schema(type_: Any) -> tuple[Schema, dict[str, Schema]]:
    """Return the core schema of `type_` and the definitions it refers to, by their `ref`."""
    # dict() builds it: the schema of an SDK's model is a lazy mapping before its first use.
    schema: Schema = dict(TypeAdapter(type_).core_schema)
    if schema["type"] != "definitions":
        return schema, {}
    return schema["schema"], {each["ref"]: each for each in schema["definitions"]}


class CoreSchemas:
    """Inspects schemas that share `definitions`."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def definition(self, ref: str) -> Schema:
        """Return the schema that references name `ref`."""
        return self._definitions[ref]

    def resolved(self, schema: Schema) -> Schema:
        """Follow references and unwrap schemas that make no difference to JSON."""
        match schema["type"]:
            case "definition-ref":
                return self.resolved(self._definitions[schema["schema_ref"]])
            case "default":
                return self.resolved(schema["schema"])
            case "json-or-python":
                return self.resolved(schema["json_schema"])
            case "lax-or-strict":
                return self.resolved(schema["strict_schema"])
        return schema

    def flat(self, schema: Schema) -> Iterator[Schema]:
        """Yield the variants of a schema, flattening nested unions and nullables; or itself."""
        target = self.resolved(schema)
        match target["type"]:
            case "union":
                for choice in target["choices"]:
                    yield from self.flat(choice[0] if isinstance(choice, tuple) else choice)
            case "tagged-union":
                for choice in target["choices"].values():
                    yield from self.flat(choice)
            case "nullable":
                yield NONE
                yield from self.flat(target["schema"])
            case "is-instance":
                pass  # a Python object, such as an open file: never JSON
            case "typed-dict" | "model":
                yield schema  # possibly a reference, kept so that the definition is shared
            case _:
                yield target

    def json_types(self, schema: Schema) -> set[type] | None:
        """Return the Python types of the decoded JSON that a schema accepts; None if unknown."""
        types: set[type] = set()
        for choice in self.flat(schema):
            variant = self.resolved(choice)
            if variant["type"] == "literal":
                types.update(type(value) for value in variant["expected"])
            elif variant["type"] in JSON_TYPES:
                types.update(JSON_TYPES[variant["type"]])
            elif variant["type"] == "function-after":  # such as a path from a string
                inner = self.json_types(variant["schema"])
                if inner is None:
                    return None
                types.update(inner)
            else:
                return None
        return types

    def tags(self, variant: Schema, member: str) -> list[str]:
        """Return the possible strings of an object's member; empty if it is not an enum."""
        field = fields_of(variant).get(member)
        if field is None:
            return []
        choices = [self.resolved(choice) for choice in self.flat(field["schema"])]
        return [
            value for each in choices for value in each.get("expected", ()) if type(value) is str
        ]


def tagged_members(types: Iterable[Any], *, of_models: bool = False) -> dict[str, frozenset[str]]:
    """Return the declared members of the TypedDicts in a union, by their `type` tag; with
    `of_models` those of models too, which are the types of answers.

    >>> tagged_members([ChatCompletionContentPartParam])["text"]
    frozenset({'type', 'text', 'prompt_cache_breakpoint'})
    """
    kinds = ("typed-dict", "model") if of_models else ("typed-dict",)
    members: dict[str, frozenset[str]] = {}
    for type_ in types:
        schema, definitions = core_schema(type_)
        schemas = CoreSchemas(definitions)
        for choice in schemas.flat(schema):
            variant = schemas.resolved(choice)
            if variant["type"] not in kinds:
                continue  # an SDK's response model beside its TypedDict has the same members
            for tag in schemas.tags(variant, "type"):
                members[tag] = members.get(tag, frozenset()) | fields_of(variant).keys()
    return members


def fields_of(schema: Schema) -> Mapping[str, Schema]:
    """Return the fields of a TypedDict or model, by name."""
    fields: Mapping[str, Schema] = (schema["schema"] if schema["type"] == "model" else schema)[
        "fields"
    ]
    return fields


def is_required(field: Schema) -> bool:
    """True if an object is invalid without the field."""
    # Members of a TypedDict have a flag; those of a model are required unless they have a default.
    required: bool = field.get("required", field["schema"]["type"] != "default")
    return required
