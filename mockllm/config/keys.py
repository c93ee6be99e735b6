"""The keys of the objects of a configuration, as an author writes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of an object in a configuration, with the type of each, in the order of its
    fields. They are the names of these, except for words of Python (``not``)."""
    return {
        str(field.validation_alias or name): field.annotation
        for name, field in model.model_fields.items()
    }
