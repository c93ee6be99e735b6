"""Rules of a JSON Schema about the keys of an object: which it needs, and which exclude each other.

The loader reports the same in words of its own; a schema lets an editor show it while a file is
written. A key with the value null is absent, as it is for the loader.

    >>> rules(has_any("as", "status"), never_both("as", "status"))
    {"allOf": [{"anyOf": [...]}, {"not": {...}}]}
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict

from mockllm.config.objects import OWN_KEYS_SCHEMA

Rule = dict[str, Any]
"""A part of a JSON Schema that an object has to meet."""


def describe(*rules: Rule) -> Callable[[JsonDict, type[BaseModel]], None]:
    """Return the `json_schema_extra` of a model whose objects meet these rules."""

    def add(schema: JsonDict, model: type[BaseModel]) -> None:
        schema |= OWN_KEYS_SCHEMA
        schema["allOf"] = list(rules)

    return add


def has(key: str, *absent: Any) -> Rule:
    """The object has a value for `key`: neither null nor one of the values `absent`."""
    return {"required": [key], "properties": {key: {"not": {"enum": [None, *absent]}}}}


def has_key(key: str) -> Rule:
    """The object has `key`, whose value may be null."""
    return {"required": [key]}


def has_value(key: str, *values: Any) -> Rule:
    """The object has one of `values` for `key`."""
    return {"required": [key], "properties": {key: {"enum": list(values)}}}


def at_least_one_of(*rules: Rule) -> Rule:
    """One or several of these hold."""
    return {"anyOf": list(rules)}


def one_of(*rules: Rule) -> Rule:
    """Exactly one of these holds."""
    return {"oneOf": list(rules)}


def none_of(*rules: Rule) -> Rule:
    """None of these holds."""
    return {"not": at_least_one_of(*rules)}


def when(rule: Rule, then: Rule) -> Rule:
    """If `rule` holds, so does `then`."""
    return {"if": rule, "then": then}


def at_most_one_of(*rules: Rule) -> Rule:
    """Not several of these hold."""
    return none_of(*({"allOf": list(pair)} for pair in combinations(rules, 2)))


def member(key: str, rule: Rule) -> Rule:
    """If there is an object under `key`, `rule` holds for it."""
    return {"properties": {key: rule}}


def members(key: str, rule: Rule) -> Rule:
    """If there is a list under `key`, `rule` holds for each object in it."""
    return {"properties": {key: {"items": at_least_one_of({"not": {"type": "object"}}, rule)}}}
