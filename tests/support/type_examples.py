"""Writes `testdata/types`: JSON values that use every member and variant of an SDK's types.

Run ``python -m tests.support.type_examples`` with the SDKs of the vendors' `SDK_VERSION`. What is
accepted with these is accepted with older ones, too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mockllm.validation.core_schema import (
    CoreSchemas,
    Schema,
    core_schema,
    fields_of,
    is_required,
)
from tests.support.sdk_types import LENIENT_TYPES, TYPES, accusations, installed

FOLDER = Path(__file__).parents[2] / "testdata" / "types"

_ANY: Schema = {"type": "any"}
_SCALARS: Mapping[str, Any] = {
    "str": "text",
    "int": 1,
    "float": 0.5,
    "bool": True,
    "datetime": "2026-10-21T00:00:00Z",
}


def examples_of(type_: Any, lenient_types: Collection[str], kept: Collection[str]) -> list[Any]:
    """Return JSON values of `type_` which together have each member, each variant and each value
    of an enum of every type in it at least once; and, for `lenient_types`, without all members
    but the tags and those in `kept`."""
    schema, definitions = core_schema(type_)
    return _Examples(CoreSchemas(definitions), lenient_types, kept).of(schema)


class _Examples:
    """Makes examples of schemas that share definitions."""

    def __init__(
        self, schemas: CoreSchemas, lenient_types: Collection[str], kept: Collection[str]
    ) -> None:
        self._schemas = schemas
        self._lenient_types = lenient_types
        self._kept = {"type", "role", *kept}
        self._seen: set[type] = set()  # types whose members were shown
        self._open: set[type] = set()  # types that are being shown

    def of(self, schema: Schema) -> list[Any]:
        """Return examples; none of a type that no JSON value has."""
        return [value for each in self._choices(schema) for value in self._of_one(each)]

    def _of_one(self, schema: Schema) -> list[Any]:
        match schema["type"]:
            case "none":
                return [None]
            case "literal":
                return [
                    value for value in schema["expected"] if isinstance(value, str | bool | int)
                ]
            case "list" | "generator":
                return [[each] for each in self.of(schema.get("items_schema", _ANY))] or [[]]
            case "dict":
                values = self.of(schema.get("values_schema", _ANY))
                return [{"key": values[0]}] if values else [{}]
            case "typed-dict" | "model":
                return self._of_object(schema)
            case "function-after":
                return self.of(schema["schema"])
            case "any":
                return ["anything"]
            case kind if kind in _SCALARS:
                return [_SCALARS[kind]]
            case _:
                return []

    def _of_object(self, schema: Schema) -> list[Any]:
        cls = schema["cls"]
        if cls in self._open:
            return []
        if cls in self._seen:
            return [self._least_object(schema)]
        self._seen.add(cls)
        self._open.add(cls)
        members = {name: self.of(field["schema"]) for name, field in self._fields(schema).items()}
        self._open.discard(cls)
        least = self._least_object(schema)
        first = least | {name: values[0] for name, values in members.items() if values}
        further = [
            least | {name: values[at] for name, values in members.items() if len(values) > at}
            for at in range(1, max(map(len, members.values()), default=1))
        ]
        examples = [least, first, *further]
        if cls.__name__ in self._lenient_types:
            examples.append({name: least[name] for name in least if name in self._kept})
        return [each for at, each in enumerate(examples) if each not in examples[:at]]

    def _least_object(self, schema: Schema) -> dict[str, Any]:
        return {
            name: self._least(field["schema"])
            for name, field in self._fields(schema).items()
            if is_required(field)
        }

    def _least(self, schema: Schema) -> Any:
        """Return the smallest example, which does not depend on what was shown before."""
        for choice in self._choices(schema):
            match choice["type"]:
                case "list" | "generator":
                    return []
                case "typed-dict" | "model":
                    return self._least_object(choice)
                case _:
                    for value in self._of_one(choice):
                        return value
        raise AssertionError(f"no JSON value has this type: {schema}")

    def _choices(self, schema: Schema) -> list[Schema]:
        """Return the variants of a schema; without models beside TypedDicts, which are meant for
        instances."""
        choices = [self._schemas.resolved(each) for each in self._schemas.flat(schema)]
        declared = any(each["type"] == "typed-dict" for each in choices)
        return [each for each in choices if not (declared and each["type"] == "model")]

    def _fields(self, schema: Schema) -> dict[str, Schema]:
        return {
            str(field.get("validation_alias", name)): field
            for name, field in fields_of(schema).items()
        }


def write() -> None:
    """Write the examples of the installed SDKs, except the few that are refused with these."""
    for api, types in TYPES.items():
        lines = [f'{{"sdk": {json.dumps(installed(api))}']
        for kind, type_ in types.items():
            entries = [
                json.dumps(example, separators=(",", ":"))
                for example in examples_of(type_, *LENIENT_TYPES.get((api, kind), ((), ())))
                if not accusations(api, kind, example)
            ]
            lines.append(f'"{kind}": [\n' + ",\n".join(entries) + "\n]")
        (FOLDER / f"{api}.json").write_text(",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    write()
