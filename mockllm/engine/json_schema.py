"""The JSON Schema of a configuration, with the messages and responses of its mocks as the official
SDKs declare them."""

from __future__ import annotations

import copy
from typing import Any

from mockllm.config.models import MOCK_FIELDS, Config
from mockllm.config.values import DONE
from mockllm.providers import APIS
from mockllm.validation.json_schema import Definitions, JSONSchema

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
        mock["response"] = _described(mock["response"], found.answer)
        match = schema["$defs"][_name_of(mock["match"])]["properties"]
        match[api.match_field] = _described(match[api.match_field], found.match)
        if found.event is not None:
            name = _name_of(mock["stream"])
            stream = copy.deepcopy(schema["$defs"][name])
            items = {"anyOf": [*_ANY_EVENT, found.event]}
            events = {"anyOf": [{"type": "array", "items": items}, {"type": "null"}]}
            stream["properties"]["events"] = _described(stream["properties"]["events"], events)
            schema["$defs"][f"{name}.{api.name}"] = stream
            mock["stream"] |= {"$ref": f"#/$defs/{name}.{api.name}"}
    schema["$defs"] |= definitions.schemas
    return schema


def _name_of(member: JSONSchema) -> str:
    reference: str = member["$ref"]
    return reference.removeprefix("#/$defs/")


def _described(member: JSONSchema, value: JSONSchema) -> JSONSchema:
    """Return the schema `value` with the annotations of `member`."""
    kept: dict[str, Any] = {
        name: member[name] for name in ("title", "description", "default") if name in member
    }
    return kept | value
