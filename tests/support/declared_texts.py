"""Finds every member of an SDK's types that may hold a string."""

from __future__ import annotations

from typing import Any

from mockllm.validation.core_schema import CoreSchemas, Schema, core_schema, fields_of


def declared_strings(*types: Any) -> set[tuple[str, str]]:
    """Return pairs of a `type` tag and a member that may be, or directly contain, a string. The tag
    is empty for an object without one."""
    found: set[tuple[str, str]] = set()
    for type_ in types:
        schema, definitions = core_schema(type_)
        walk = _Walk(CoreSchemas(definitions))
        walk.visit(schema, (), "")
        found |= walk.found
    return found


class _Walk:
    """A walk over the schema of one type, which visits each kind of object once."""

    def __init__(self, schemas: CoreSchemas) -> None:
        self.found: set[tuple[str, str]] = set()
        self._schemas = schemas
        self._seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()

    def visit(self, schema: Schema, tags: tuple[str, ...], name: str) -> None:
        """Note the member `name` of the objects with these `tags` if it may be a string, and visit
        the objects in it."""
        for choice in self._schemas.flat(schema):
            variant = self._schemas.resolved(choice)
            match variant["type"]:
                case "str" | "dict" | "any":
                    self.found.update((tag, name) for tag in tags)
                case "list" | "generator":
                    self.visit(variant["items_schema"], tags, name)
                case "typed-dict" | "model":
                    fields = fields_of(variant)
                    inner = tuple(self._schemas.tags(variant, "type")) or ("",)
                    if (inner, tuple(fields)) in self._seen:
                        continue
                    self._seen.add((inner, tuple(fields)))
                    for member, field in fields.items():
                        self.visit(field["schema"], inner, member)
