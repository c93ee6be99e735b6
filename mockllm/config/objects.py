"""The base of all objects of a configuration: frozen, with the author's own keys ignored."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mockllm.config.mistakes import problems_of_call
from mockllm.config.values import without_own_keys
from mockllm.errors import ConfigError

OWN_KEYS_SCHEMA: JsonDict = {"patternProperties": {"^[_$]": {}}}
"""The author's own keys, as a part of a JSON Schema."""


class ConfigObject(BaseModel):
    """A frozen object of the configuration. Unknown keys are errors, so typos are reported; those
    that begin with ``_`` or ``$`` are the author's own (``_comment``, ``$schema``)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_extra={**OWN_KEYS_SCHEMA},
    )

    def __init__(self, /, *unnamed: Any, **written: Any) -> None:
        """Validate what is written in Python.

        Raises:
            ConfigError: it is invalid; the error has all mistakes.
            TypeError: a value has no keyword.
        """
        if unnamed:
            raise TypeError(_expect_keywords(type(self), unnamed))
        try:
            super().__init__(**written)
        except ValidationError as exc:
            found = problems_of_call(exc, type(self), written)
            raise ConfigError(tuple(found)) from None  # whose texts are for who wrote the model

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # not to be called for each object in a file

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        return without_own_keys(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe each field by its docstring. Pydantic would read them when the class is made
        (``use_attribute_docstrings``): a tenth of a start, though only a schema shows them."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        described = _docstrings_of(cls)
        for name, field in cls.model_fields.items():
            written = properties.get(field.validation_alias or name)
            if written is not None and name in described and field.description is None:
                written["description"] = described[name]
        return schema


def _expect_keywords(model: type[BaseModel], unnamed: Sequence[Any]) -> str:
    """Describe a call of `model` with values that are `unnamed`."""
    name = model.__name__
    if len(unnamed) == 1 and isinstance(unnamed[0], Mapping):
        return f"{name}() takes keywords only; of a dict, write {name}(**values)"
    answers = [key for key in ("reply", "response") if key in model.model_fields]
    keys = [*answers[:1], *(key for key in model.model_fields if key not in answers)]
    example = ", ".join(f"{key}=..." for key in keys[: len(unnamed)])
    return f"{name}() takes keywords only; write {name}({example})"


@cache
def _docstrings_of(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of the fields of an object, by the names of these: strings that follow
    them in the source. A field that is declared again without one keeps the earlier."""
    docstrings: dict[str, str] = {}
    for declared in reversed(model.__mro__):
        if issubclass(declared, ConfigObject):
            (tree,) = ast.parse(dedent(inspect.getsource(declared))).body
            assert isinstance(tree, ast.ClassDef)
            for statement, following in pairwise([*tree.body, ast.Pass()]):
                match statement:
                    case ast.AnnAssign(target=ast.Name(name)):
                        match following:
                            case ast.Expr(ast.Constant(str(text))):
                                docstrings[name] = inspect.cleandoc(text)
    return docstrings
