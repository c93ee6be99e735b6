"""The base of all objects of a configuration: frozen, with the author's own keys ignored."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mockllm.config.values import without_own_keys

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

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        return without_own_keys(value)

    def share_names(self, known: dict[frozenset[str], set[str]]) -> None:
        """Have the same set of the names of what is written as all objects that have these names:
        each has one, of 216 bytes, and 100,000 mocks have two. `known` are those sets."""
        names = self.model_fields_set
        shared = known.setdefault(frozenset(names), names)
        object.__setattr__(self, "__pydantic_fields_set__", shared)

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


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of an object in a configuration, with the type of each, in the order of its
    fields. They are the names of these, except for words of Python (``not``)."""
    return {
        str(field.validation_alias or name): field.annotation
        for name, field in model.model_fields.items()
    }


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
