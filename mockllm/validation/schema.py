"""Rewrites the pydantic schema of an SDK type so that it validates JSON eagerly.

Theory of operation
===================

In: a type of an official SDK. Out: a pydantic core schema for `SchemaValidator`.

An SDK's request type cannot be used as it is. Its `Iterable` members are validated lazily, so
nothing inside `messages` is. Its unions are undiscriminated, so one bad block is reported once per
variant (173 KB of text). And it is stricter than the services. But the core schema that pydantic
builds of it is plain data, so it is rewritten, once, when the server starts:

- lists are validated eagerly, and scalars without coercion: "5" is not a number;
- a union is discriminated by the JSON type of the value, then by its `type` (or `role`): only the
  intended variant is validated, and errors name that one alone;
- lenient schemas accept null, new tags and new enum values; strict ones enforce the whole type;
- strict and closed schemas reject undeclared members.

Only the errors matter, never the validated copy. A schema may therefore be replaced by any other
with the right errors; kinds of schemas without a rule here stay as pydantic built them.

Example: ``Iterable[Text | Image]``, two TypedDicts whose ``type`` is a Literal. pydantic builds

    generator(union(typed-dict Text, typed-dict Image))

which is rewritten to

    list(tagged-union({0: typed-dict Text, 1: typed-dict Image, OTHER: ...}))

with a function as discriminator (see `choosers`). For ``[{"type": "text", "text": 5}]`` the former
reports nothing, since nobody iterates. The latter reports one error, at ``0.text``: expected a
string, found a number (5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from types import NoneType
from typing import Any

from mockllm.validation.choosers import LABEL_PREFIX, OTHER, Function
from mockllm.validation.core_schema import (
    NONE,
    TAGS,
    CoreSchemas,
    Schema,
    core_schema,
    fields_of,
    is_required,
)
from mockllm.validation.stored_schema import Never
from mockllm.validation.variants import Variant, by_tag_alone, by_tag_and_shape

# Error types in addition to those of pydantic.
UNDECLARED = "mockllm_undeclared"
MISMATCH = "mockllm_mismatch"


def eager_schema(
    type_: Any,
    *,
    strict: bool,
    lenient_types: frozenset[str],
    always_required: frozenset[str],
    collect_all: bool,
    widened: frozenset[str] = frozenset(),
    closed: bool,
) -> Schema:
    """Return the rewritten core schema of `type_`, which is anything pydantic can adapt, with each
    `Function` in it still to be made (`stored_schema`).

    Unless `strict`, the TypedDicts named in `lenient_types` may lack any member except those in
    `always_required`. Members in `widened` (``McpCall.error``) may be absent or have any value.
    Without `collect_all`, validation of a list stops at its first error. Members that no type
    declares are errors if `closed`, as they always are if `strict`.
    """
    schema, definitions = core_schema(type_)
    rewriter = _Rewriter(
        definitions,
        strict=strict,
        lenient_types=lenient_types,
        always_required=always_required,
        collect_all=collect_all,
        widened=widened,
        closed=closed or strict,
    )
    rewritten = rewriter.rewritten(schema)
    if rewriter.reached:
        reached = list(rewriter.reached.values())
        rewritten = {"type": "definitions", "schema": rewritten, "definitions": reached}
    return rewritten


_ANY: Schema = {"type": "any"}
_NEVER: Schema = {"type": "is-instance", "cls": Never}
_STRING: Schema = {"type": "str", "strict": True}
# An object whose members do not matter. Unlike pydantic's "dict", it does not copy them.
_OPEN_OBJECT: Schema = {"type": "typed-dict", "fields": {}, "extra_behavior": "ignore"}

_SCALARS: Mapping[type, str] = {str: "str", int: "int", float: "float", bool: "bool"}
_WORDS: Mapping[type, str] = {
    str: "a string",
    float: "a number",
    int: "an integer",
    bool: "a boolean",
    list: "a list",
    dict: "an object",
    NoneType: "null",
}


class _Rewriter:
    """Rewrites one core schema. Unknown kinds of schemas are left unchanged."""

    def __init__(
        self,
        definitions: Mapping[str, Schema],
        *,
        strict: bool,
        lenient_types: frozenset[str],
        always_required: frozenset[str],
        collect_all: bool,
        widened: frozenset[str],
        closed: bool,
    ) -> None:
        self.schemas = CoreSchemas(definitions)
        self.strict = strict
        self.lenient_types = lenient_types
        self.always_required = always_required
        self.collect_all = collect_all
        self.widened = widened
        self.closed = closed
        self.reached: dict[str, Schema] = {}  # the rewritten definitions, by their ref

    def rewritten(self, schema: Schema) -> Schema:
        """Return the schema that replaces `schema`."""
        match schema["type"]:
            case "str" | "int" | "float" | "bool":
                return {**schema, "strict": True}
            case "nullable":
                return _nullable(self.rewritten(schema["schema"]))
            case "default":
                return self.rewritten(schema["schema"])
            case "json-or-python":
                return self.rewritten(schema["json_schema"])
            case "lax-or-strict":
                return self.rewritten(schema["strict_schema"])
            case "definition-ref":
                return self._reference(schema)
            case "list" | "generator":
                return self._list([schema.get("items_schema", _ANY)])
            case "dict":
                values = self.rewritten(schema.get("values_schema", _ANY))
                if values["type"] == "any":
                    return _OPEN_OBJECT
                return {"type": "dict", "values_schema": values, "strict": True}
            case "typed-dict":
                return self._object(schema, schema["fields"])
            case "model" if schema["schema"]["type"] == "model-fields":
                return self._object(schema, schema["schema"]["fields"])
            case "union" | "tagged-union":
                return self._union(list(self.schemas.flat(schema)))
            case "literal" if not self.strict:
                return self._union([schema])
        return schema

    def _reference(self, schema: Schema) -> Schema:
        ref = schema["schema_ref"]
        if ref not in self.reached:
            self.reached[ref] = {}  # ends the recursion of a type that contains itself
            self.reached[ref] = {**self.rewritten(self.schemas.definition(ref)), "ref": ref}
        return {"type": "definition-ref", "schema_ref": ref}

    def _object(self, schema: Schema, fields: Mapping[str, Schema]) -> Schema:
        type_ = schema["cls"].__name__
        lenient_types = not self.strict and type_ in self.lenient_types
        rewritten: dict[str, Schema] = {}
        for name, field in fields.items():
            required = is_required(field) and not (
                lenient_types and name not in self.always_required
            )
            member = self.rewritten(field["schema"])
            if f"{type_}.{name}" in self.widened:
                required, member = False, _ANY
            if not self.strict and not required:
                member = _nullable(member)
            rewritten[name] = {
                **field,
                "type": "typed-dict-field",
                "schema": member,
                "required": required,
            }
        if not self.closed:
            return {"type": "typed-dict", "fields": rewritten, "extra_behavior": "ignore"}
        if schema["type"] == "typed-dict" and schema.get("extra_behavior") == "allow":
            return {"type": "typed-dict", "fields": rewritten, "extra_behavior": "allow"}
        declared = tuple(str(each.get("validation_alias", name)) for name, each in fields.items())
        undeclared = {
            "type": "custom-error",
            "schema": _NEVER,
            "custom_error_type": UNDECLARED,
            "custom_error_message": "undeclared",
            "custom_error_context": {"declared": declared},
        }
        return {
            "type": "typed-dict",
            "fields": rewritten,
            "extra_behavior": "allow",
            "extras_schema": undeclared,
        }

    def _list(self, items: Sequence[Schema]) -> Schema:
        """Return the schema of a list whose entries all match the same schema of `items`.

        Embeddings accept a list of strings, of integers or of lists: the first entry decides
        which. If it cannot, each entry may match any of the items.
        """
        types = [self.schemas.json_types(item) for item in items]
        if len(items) == 1:
            return self._list_of(self.rewritten(items[0]))
        mixed = self._list_of(
            self._union([each for item in items for each in self.schemas.flat(item)])
        )
        if any(a is None or b is None or a & b for a, b in combinations(types, 2)):
            return mixed
        choices = {
            f"{LABEL_PREFIX}{index}": self._list_of(self.rewritten(item))
            for index, item in enumerate(items)
        }
        labels = {
            json_type.__name__: f"{LABEL_PREFIX}{index}"
            for index, each in enumerate(types)
            for json_type in each or ()
        }
        any_of = f"{LABEL_PREFIX}mixed"
        return {
            "type": "tagged-union",
            "choices": {**choices, any_of: mixed},
            "discriminator": Function("by_first_item", [labels, any_of]),
        }

    def _list_of(self, item: Schema) -> Schema:
        return {
            "type": "list",
            "items_schema": item,
            "strict": True,
            "fail_fast": not self.collect_all,
        }

    def _union(self, choices: Sequence[Schema]) -> Schema:
        """Return one schema for flat choices, discriminated by JSON type, then by tag."""
        of_type: dict[type, list[Schema]] = {}
        for choice in choices:
            if choice["type"] == "any":
                return _ANY
            types = self.schemas.json_types(choice)
            if types is None:
                return _plain_union([self.rewritten(each) for each in choices])
            for json_type in types:
                of_type.setdefault(json_type, []).append(choice)
        variants = {
            json_type: self._of_json_type(json_type, of_type[json_type]) for json_type in of_type
        }
        if len(variants) == 1:
            return next(iter(variants.values()))
        labels = {each.__name__: f"{LABEL_PREFIX}{each.__name__}" for each in variants}
        return {
            "type": "tagged-union",
            "choices": {labels[each.__name__]: variants[each] for each in variants},
            "discriminator": Function("by_json_type", [labels]),
            "custom_error_type": MISMATCH,
            "custom_error_message": _either(variants),
        }

    def _of_json_type(self, json_type: type, choices: Sequence[Schema]) -> Schema:
        if json_type is NoneType:
            return NONE
        if json_type is list:
            return self._list([choice.get("items_schema", _ANY) for choice in choices])
        if json_type is dict:
            return self._objects(choices)
        for choice in choices:
            if choice["type"] != "literal":  # `str | Literal["a", "b"]` is a str
                return self.rewritten(choice)
        if not self.strict:
            return {"type": _SCALARS[json_type], "strict": True}
        values = [
            value for each in choices for value in each["expected"] if type(value) is json_type
        ]
        return {"type": "literal", "expected": values}

    def _objects(self, choices: Sequence[Schema]) -> Schema:
        """Return one schema for several objects, discriminated by tag.

        A dict of anything accepts whatever the others do. Response models among TypedDicts are
        for Python instances, which JSON never contains.
        """
        for choice in choices:
            if choice["type"] == "dict":
                return self.rewritten(choice)
        typed = [
            choice for choice in choices if self.schemas.resolved(choice)["type"] == "typed-dict"
        ]
        choices = typed or choices
        if len(choices) == 1:
            return self.rewritten(choices[0])
        for member in TAGS:
            if all(self.schemas.tags(self.schemas.resolved(choice), member) for choice in choices):
                return self._by_tag(member, choices)
        return _plain_union([self.rewritten(choice) for choice in choices])

    def _by_tag(self, member: str, choices: Sequence[Schema]) -> Schema:
        labels = [f"{LABEL_PREFIX}{index}" for index in range(len(choices))]
        variants = [
            self._variant(label, choice, member)
            for label, choice in zip(labels, choices, strict=True)
        ]
        by_tag: dict[str, list[Variant]] = {}
        for variant in variants:
            for tag in variant.tags:
                by_tag.setdefault(tag, []).append(variant)
        untagged = [variant for variant in variants if not variant.tag_required]
        if len(untagged) <= 1 and all(len(each) == 1 for each in by_tag.values()):
            choose = by_tag_alone(member, by_tag, untagged)
        else:
            choose = by_tag_and_shape(member, by_tag, untagged)
        tag_schema: Schema = (
            {"type": "literal", "expected": list(by_tag)} if self.strict else _STRING
        )
        if self.closed and not self.strict and member == "type":
            tag_schema = _unless_misspelt(list(by_tag))
        other: Schema = {
            "type": "typed-dict",
            "fields": {
                member: {"type": "typed-dict-field", "schema": tag_schema, "required": True}
            },
            "extra_behavior": "ignore",
        }
        rewritten = {
            label: self.rewritten(choice) for label, choice in zip(labels, choices, strict=True)
        }
        return {
            "type": "tagged-union",
            "choices": {**rewritten, OTHER: other},
            "discriminator": choose,
        }

    def _variant(self, label: str, choice: Schema, member: str) -> Variant:
        schema = self.schemas.resolved(choice)
        fields = fields_of(schema)
        content = fields.get("content")
        return Variant(
            label=label,
            tags=tuple(self.schemas.tags(schema, member)),
            tag_required=is_required(fields[member]),
            required=frozenset(name for name in fields if is_required(fields[name])),
            roles=frozenset(self.schemas.tags(schema, "role")),
            content=frozenset((content and self.schemas.json_types(content["schema"])) or ()),
        )


def _nullable(schema: Schema) -> Schema:
    return (
        schema if schema["type"] in ("nullable", "any") else {"type": "nullable", "schema": schema}
    )


def _unless_misspelt(tags: Sequence[str]) -> Schema:
    """Return the schema of a tag that is unknown, but does not resemble one of `tags`."""
    function = {"type": "no-info", "function": Function("unless_misspelt", tags)}
    return {"type": "function-after", "schema": _STRING, "function": function}


def _plain_union(choices: list[Schema]) -> Schema:
    labelled = [(choice, f"{LABEL_PREFIX}{index}") for index, choice in enumerate(choices)]
    return {"type": "union", "choices": labelled, "mode": "left_to_right"}


def _either(types: Iterable[type]) -> str:
    """Format JSON types for a message: "a string, a number or a list"."""
    named = set(types)
    words = [
        word
        for each, word in _WORDS.items()
        if each in named and not (each is int and float in named)
    ]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
