"""Core schemas as bytes: what a rewritten schema is made of, so that it can be kept.

A schema is JSON but for a few places: functions, which `choosers` makes from plain data, tuples,
and the type without instances. `dump` lists these by their paths; `load` puts them back, without a
look at the rest. What neither knows (a class or a function that pydantic has built) cannot be kept.

Example: ``{"type": "tagged-union", "discriminator": Function("by_json_type", [{"str": "0"}])}`` is
dumped as ``[{"type": "tagged-union", "discriminator": null},
[[["discriminator"], "by_json_type", [{"str": "0"}]]]]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from mockllm.validation.choosers import MAKERS, Function

Path = tuple[str | int, ...]


class Never:
    """A type without instances: no JSON value is valid."""


_TUPLE, _NEVER, _FOREIGN = "tuple", "never", "foreign"
_MAX_INTEGER = 2**53  # which JSON represents everywhere


class StoredSchema(NamedTuple):
    """A schema as bytes. `foreign` are the objects in it that bytes cannot represent: with any, it
    can be loaded in this process only."""

    data: bytes
    foreign: tuple[Any, ...] = ()


def dump(schema: Any) -> StoredSchema:
    """Return a rewritten schema as bytes."""
    places: list[tuple[Path, str, Sequence[Any]]] = []
    foreign: list[Any] = []
    plain = _plain(schema, (), places, foreign)
    return StoredSchema(orjson.dumps([plain, places]), tuple(foreign))


def _plain(
    value: Any, path: Path, places: list[tuple[Path, str, Sequence[Any]]], foreign: list[Any]
) -> Any:
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _plain(value[key], (*path, key), places, foreign) for key in value}
    if type(value) in (list, tuple):
        items = [_plain(each, (*path, at), places, foreign) for at, each in enumerate(value)]
        if type(value) is tuple:  # after what is in it, which cannot be replaced afterwards
            places.append((path, _TUPLE, ()))
        return items
    if type(value) is Function:
        places.append((path, value.maker, value.arguments))
    elif value is Never:
        places.append((path, _NEVER, ()))
    elif not _is_plain(value):
        places.append((path, _FOREIGN, (len(foreign),)))
        foreign.append(value)
    else:
        return value
    return None


def _is_plain(value: Any) -> bool:
    """True if JSON represents a value that is neither a list nor an object."""
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return abs(value) <= _MAX_INTEGER
    return value is None or type(value) in (str, bool)


def load(stored: StoredSchema) -> Any:
    """Return the schema, with its functions made.

    Raises:
        ValueError, TypeError, LookupError: the bytes are not those of a schema.
    """
    schema, places = orjson.loads(stored.data)
    holder = [schema]
    for path, kind, arguments in places:
        parent: Any = holder
        key: str | int = 0
        for step in path:
            parent, key = parent[key], step
        parent[key] = _made(kind, arguments, parent[key], stored.foreign)
    return holder[0]


def _made(kind: str, arguments: Sequence[Any], value: Any, foreign: Sequence[Any]) -> Any:
    match kind:
        case "tuple":
            return tuple(value)
        case "never":
            return Never
        case "foreign":
            return foreign[arguments[0]]
        case _:
            make: Callable[..., Any] = MAKERS[kind]
            return make(*arguments)
