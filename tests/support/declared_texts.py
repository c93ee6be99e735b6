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
        schemas = CoreSchemas(definitions)
        seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()

        def walk(schema: Schema, tags: tuple[str, ...], name: str) -> None:
            for choice in schemas.flat(schema):  # noqa: B023  # called in the same round
                variant = schemas.resolved(choice)  # noqa: B023
                match variant["type"]:
                    case "str" | "dict" | "any":
                        found.update((tag, name) for tag in tags)
                    case "list" | "generator":
                        walk(variant["items_schema"], tags, name)
                    case "typed-dict" | "model":
                        fields = fields_of(variant)
                        inner = tuple(schemas.tags(variant, "type")) or ("",)  # noqa: B023
                        if (inner, tuple(fields)) in seen:  # noqa: B023
                            continue
                        seen.add((inner, tuple(fields)))  # noqa: B023
                        for member, field in fields.items():
                            walk(field["schema"], inner, member)

        walk(schema, (), "")
    return found
