"""JSON Schemas of an SDK's types, for editors.

They say what `findings` finds, as far as JSON Schema can: members and their types, and which object
of a union is meant by its `type` or `role`. Unlike pydantic's own, they allow neither undeclared
members nor conversions, and they share the definitions of several types. Where the installed SDK is
old, they allow what it does not declare, since a newer one may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from mockllm.validation.core_schema import (
    TAGS,
    CoreSchemas,
    Schema,
    core_schema,
    fields_of,
    is_required,
)
from mockllm.validation.undeclared import ENTRY, Undeclared, split_path

JSONSchema: TypeAlias = dict[str, Any]

_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "none": "null"}
_OWN_KEYS = "^[_$]"


class Form(Enum):
    """What a value is written for, which decides how much of a type it must have."""

    MATCH = "Match"
    """To be compared: some members may be missing, and tags and values may be unknown."""
    ANSWER = "Answer"
    """To be sent: any member may be missing, because it is filled in."""
    EVENT = "Event"
    """To be sent as it is. Only its own members are required; what is in them has the form of an
    answer, whose definitions it shares."""


class MockSchemas(NamedTuple):
    """The schemas of the message or input, the response, and an event of a mock; None where there
    are no streams."""

    match: JSONSchema
    answer: JSONSchema
    event: JSONSchema | None


@dataclass
class Definitions:
    """The ``$defs`` of a schema that uses several types of SDKs."""

    schemas: dict[str, JSONSchema] = field(default_factory=dict)
    _names: dict[tuple[Form, type], str] = field(default_factory=dict)
    _tags: dict[str, set[str]] = field(default_factory=dict)

    def add(
        self,
        type_: Any,
        form: Form,
        *,
        lenient_types: frozenset[str] = frozenset(),
        undeclared: Iterable[Undeclared] = (),
        widened: frozenset[str] | None = None,
    ) -> JSONSchema:
        """Return the schema of `type_`, anything pydantic can adapt, for values of this `form`.
        `lenient_types` may lack any members in a match, and what is `undeclared` is allowed. With
        an old SDK, so is everything it does not declare, and members that are `widened`
        (``McpCall.error``) may be absent or have any value."""
        schema, definitions = core_schema(type_)
        schemas = CoreSchemas(definitions)
        found = _Converter(self, schemas, form, lenient_types, widened).of(schema)
        for each in undeclared:
            self._allow(found, each)
        return found

    def allow(self, form: Form, extras: Mapping[str, Iterable[str]]) -> None:
        """Allow members in addition to the declared ones, by the `type` or `role` of an object."""
        for name, tags in self._tags.items():
            if name.startswith(f"{form.value}."):
                for extra in sorted({each for tag in tags for each in extras.get(tag, ())}):
                    self.schemas[name]["properties"].setdefault(extra, {})

    def define(self, reference: JSONSchema, schema: JSONSchema, tags: set[str]) -> None:
        """Give the definition that `reference` refers to, of an object with these `tags`."""
        name = reference["$ref"].removeprefix("#/$defs/")
        self.schemas[name] |= schema
        self._tags[name] = tags

    def reference(self, form: Form, cls: type) -> tuple[JSONSchema, bool]:
        """Return a reference to the definition of `cls`, and True if it is new."""
        name = self._names.get((form, cls))
        is_new = name is None
        if name is None:
            base = name = f"{form.value}.{cls.__name__}"
            while name in self.schemas:
                name = f"{base}{len(self.schemas)}"
            self._names[form, cls] = name
            self.schemas[name] = {}
        return {"$ref": f"#/$defs/{name}"}, is_new

    def objects(self, schema: JSONSchema) -> Iterator[JSONSchema]:
        """Yield the objects that `schema` allows."""
        for choice in _choices(schema):
            target = self._target(choice)
            if "properties" in target:
                yield target

    def _target(self, schema: JSONSchema) -> JSONSchema:
        ref = schema.get("$ref")
        return schema if ref is None else self.schemas[ref.removeprefix("#/$defs/")]

    def _allow(self, schema: JSONSchema, undeclared: Undeclared) -> None:
        for path in (*undeclared.members, *undeclared.open_enums):
            *above, name = split_path(path)
            for target in self._at(schema, above):
                target["properties"][name] = {}
        for path in undeclared.left_out:
            *above, name = split_path(path)
            for target in self._at(schema, above):
                target["required"] = [each for each in target.get("required", ()) if each != name]

    def _at(self, schema: JSONSchema, path: Sequence[str]) -> Iterator[JSONSchema]:
        """Yield the objects at a path of member names and `ENTRY`."""
        if not path:
            yield from self.objects(schema)
        elif path[0] == ENTRY:
            for choice in _choices(schema):
                if "items" in choice:
                    yield from self._at(choice["items"], path[1:])
        else:
            for target in list(self.objects(schema)):
                if path[0] in target["properties"]:
                    yield from self._at(target["properties"][path[0]], path[1:])


@dataclass
class _Converter:
    """Converts the schemas of one type."""

    definitions: Definitions
    schemas: CoreSchemas
    form: Form
    lenient_types: frozenset[str]
    widened: frozenset[str] | None  # None: the SDK is not old

    def of(self, schema: Schema) -> JSONSchema:
        """Return the JSON Schema of a core schema."""
        choices = list(self.schemas.flat(schema))
        variants = [self.schemas.resolved(choice) for choice in choices]
        objects = [each for each in variants if each["type"] in ("typed-dict", "model")]
        tag = self._tag(objects) if len(objects) > 1 else None
        found = [self._one(variant, tag) for variant in variants]
        if tag == "type" and self._is_open:
            found.append(self._unknown(objects, tag))
        return found[0] if len(found) == 1 else {"anyOf": found}

    @property
    def _is_open(self) -> bool:
        """True if tags and other enumerated values may be unknown."""
        return self.form is Form.MATCH or self.widened is not None

    def _tag(self, objects: Sequence[Schema]) -> str | None:
        tagged = (tag for tag in TAGS if all(self.schemas.tags(each, tag) for each in objects))
        return next(tagged, None)

    def _unknown(self, objects: Sequence[Schema], tag: str) -> JSONSchema:
        """The schema of an object that the SDK does not know."""
        known = sorted({each for one in objects for each in self.schemas.tags(one, tag)})
        member = {"type": "string", "not": {"enum": known}}
        return {"type": "object", "properties": {tag: member}, "required": [tag]}

    def _one(self, variant: Schema, tag: str | None) -> JSONSchema:
        match variant["type"]:
            case "typed-dict" | "model":
                reference = self._object(variant)
                if tag is None:
                    return reference
                tags: JSONSchema = {"enum": self.schemas.tags(variant, tag)}
                found = reference | {"properties": {tag: tags}}
                if self.form is not Form.ANSWER and is_required(fields_of(variant)[tag]):
                    found["required"] = [tag]
                return found
            case "literal" if self._is_open and _are_texts(variant["expected"]):
                return {"type": "string"}
            case "literal":
                return {"enum": list(variant["expected"])}
            case "list" | "generator":
                items = variant.get("items_schema")
                return {"type": "array", "items": self.of(items) if items else {}}
            case "dict":
                values = variant.get("values_schema")
                return {"type": "object", "additionalProperties": self.of(values) if values else {}}
            case "function-after":
                return self.of(variant["schema"])
            case str() as kind if kind in _SCALARS:
                return {"type": _SCALARS[kind]}
        return {}

    def _object(self, variant: Schema) -> JSONSchema:
        cls = variant["cls"]
        reference, is_new = self.definitions.reference(self.form, cls)
        if is_new:
            tags = {value for tag in TAGS for value in self.schemas.tags(variant, tag)}
            self.definitions.define(reference, self._members(variant, cls.__name__), tags)
        return reference

    def _is_needed(self, name: str) -> bool:
        """True if objects of the type `name` must have their required members."""
        lenient = self.form is Form.MATCH and name in self.lenient_types
        return self.form is not Form.ANSWER and not lenient

    def _members(self, variant: Schema, name: str) -> JSONSchema:
        properties: JSONSchema = {}
        required: list[str] = []
        inner = replace(self, form=Form.ANSWER) if self.form is Form.EVENT else self
        for member, each in fields_of(variant).items():
            is_widened = f"{name}.{member}" in (self.widened or ())
            found = {} if is_widened else inner._of_member(member, each["schema"])
            properties[str(each.get("validation_alias", member))] = found
            if is_required(each) and self._is_needed(name) and not is_widened:
                required.append(member)
            elif self.form is Form.MATCH and found:
                properties[member] = _or_null(found)
        schema: JSONSchema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        is_closed = variant.get("extra_behavior") != "allow" or variant["type"] == "model"
        if is_closed and self.widened is None:
            schema["additionalProperties"] = False
        if self.form is Form.MATCH:
            schema["patternProperties"] = {_OWN_KEYS: {}}
        return schema

    def _of_member(self, member: str, schema: Schema) -> JSONSchema:
        """Return the schema of a member. In a match, unlike an unknown value of another member, an
        unknown role is refused."""
        if member == "role" and self.form is Form.MATCH:
            return replace(self, form=Form.ANSWER, widened=None).of(schema)
        return self.of(schema)


def _or_null(schema: JSONSchema) -> JSONSchema:
    if schema.keys() == {"type"}:
        return {"type": [schema["type"], "null"]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _choices(schema: JSONSchema) -> Iterator[JSONSchema]:
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _choices(each)
    else:
        yield schema


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in values)
