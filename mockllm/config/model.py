"""The base of the objects in a configuration."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from mockllm.config.values import without_own_keys


class ConfigModel(BaseModel):
    """A frozen object of the configuration. Unknown keys are errors, so typos are reported; those
    that begin with ``_`` or ``$`` are the author's own (``_comment``, ``$schema``)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_extra={"patternProperties": {"^[_$]": {}}},
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        return without_own_keys(value)


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of an object in a configuration, with the type of each. They are the names of
    its fields, except for words of Python (``not``)."""
    return {
        str(field.validation_alias or name): field.annotation
        for name, field in model.model_fields.items()
    }
