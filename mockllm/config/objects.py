"""The base of all objects of a configuration: frozen, with the author's own keys ignored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.config import JsonDict

from mockllm.config.values import without_own_keys

OWN_KEYS_SCHEMA: JsonDict = {"patternProperties": {"^[_$]": {}}}
"""The author's own keys, as a part of a JSON Schema."""


class ConfigObject(BaseModel):
    """A frozen object of the configuration. Unknown keys are errors, so typos are reported; those
    that begin with ``_`` or ``$`` are the author's own (``_comment``, ``$schema``)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_extra={**OWN_KEYS_SCHEMA},
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        return without_own_keys(value)


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of an object in a configuration, with the type of each, in the order of its
    fields. They are the names of these, except for words of Python (``not``)."""
    return {
        str(field.validation_alias or name): field.annotation
        for name, field in model.model_fields.items()
    }
