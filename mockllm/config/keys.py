"""The keys of the objects of a configuration, as an author writes them."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from pydantic import BaseModel


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of an object in a configuration, with the type of each, in the order of its
    fields. They are the names of these, except for words of Python (``not``)."""
    return {
        str(field.validation_alias or name): field.annotation
        for name, field in model.model_fields.items()
    }


def keywords_of(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what is typed in a call of `model` instead of those keys that are words of Python."""
    names = zip(keys_of(model), model.model_fields, strict=True)
    return {key: name for key, name in names if iskeyword(key)}
