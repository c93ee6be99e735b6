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
        json_schema_extra={**OWN_KEYS_SCHEMA},
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        return without_own_keys(value)
