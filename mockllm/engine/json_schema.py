"""The JSON Schema of a configuration, with the messages and responses of its mocks as the official
SDKs declare them."""

from __future__ import annotations

import copy
from typing import Any

from mockllm.config.models import MOCK_FIELDS, Config
from mockllm.config.values import DONE
from mockllm.providers import APIS
from mockllm.validation.json_schema import Definitions, JSONSchema, MockSchemas

_ANY_EVENT: list[JSONSchema] = [
    {"const": DONE},
    {
        "type": "object",
        "properties": {"error": {"type": ["object", "string"]}},
        "required": ["error"],
    },
    {"type": "object", "properties": {"type": {"enum": ["ping", "error"]}}, "required": ["type"]},
]
"""Events that are allowed in every stream."""


def configuration_schema() -> JSONSchema:
    """Return the JSON Schema of a configuration. It imports the SDKs, which takes a second."""
    schema = Config.model_json_schema()
    definitions = Definitions()
    for api in APIS:
        mock = schema["$defs"][MOCK_FIELDS[api.name].__name__]["properties"]
        found = api.sdk().json_schemas(definitions)
        match = schema["$defs"][_name_of(mock["match"])]["properties"]
        match[api.match_field] = _described(match[api.match_field], found.match)
        _describe_answer(schema["$defs"], mock, api.name, found)
        for name in ("sequence", "first"):
            _describe_entries(schema["$defs"], mock[name], api.name, found)
    schema["$defs"] |= definitions.schemas
    return schema


def _describe_answer(
    definitions: JSONSchema, written: JSONSchema, api: str, found: MockSchemas
) -> None:
    """Describe the `response` and the `stream` of a mock or an entry of `api`, whose properties are
    `written`."""
    written["response"] = _described(written["response"], found.answer)
    if found.event is not None:
        stream, name = _copied(definitions, _name_of(written["stream"]), api)
        items = {"anyOf": [*_ANY_EVENT, found.event]}
        events = {"anyOf": [{"type": "array", "items": items}, {"type": "null"}]}
        stream["properties"]["events"] = _described(stream["properties"]["events"], events)
        written["stream"] |= {"$ref": f"#/$defs/{name}"}


def _describe_entries(
    definitions: JSONSchema, member: JSONSchema, api: str, found: MockSchemas
) -> None:
    """Describe the answers in the entries of a `member` of a mock of `api`, ``sequence`` or
    ``first``."""
    entries = next(each for each in member["anyOf"] if each.get("type") == "array")
    kinds = entries["items"].get("anyOf", [entries["items"]])
    reference = next(each for each in kinds if "$ref" in each)
    entry, name = _copied(definitions, _name_of(reference), api)
    _describe_answer(definitions, entry["properties"], api, found)
    reference["$ref"] = f"#/$defs/{name}"


def _copied(definitions: JSONSchema, name: str, api: str) -> tuple[JSONSchema, str]:
    """Return a copy of the definition called `name` for one `api`, and the copy's name."""
    own = f"{name}.{api}"
    definitions[own] = copy.deepcopy(definitions[name])
    return definitions[own], own


def _name_of(member: JSONSchema) -> str:
    reference: str = member["$ref"]
    return reference.removeprefix("#/$defs/")


def _described(member: JSONSchema, value: JSONSchema) -> JSONSchema:
    """Return the schema `value` with the annotations of `member`."""
    kept: dict[str, Any] = {
        name: member[name] for name in ("title", "description", "default") if name in member
    }
    return kept | value
