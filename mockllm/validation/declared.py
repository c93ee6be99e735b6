"""Types that an SDK declares, and what is derived of them, kept from one start to the next.

Importing an SDK takes a third of a second, and rewriting its types (`schema`) as long; to build a
validator of a schema that was kept takes milliseconds. So an SDK is imported only for what a
`SchemaStore` does not have: at the first start, after an update, or where nothing can be stored.
What is derived anew goes through the same bytes, so that both ways lead to the same validator.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic_core import SchemaError, SchemaValidator

from mockllm.validation import stored_schema
from mockllm.validation.core_schema import Schema
from mockllm.validation.schema import eager_schema
from mockllm.validation.stored_schema import StoredSchema

_DIGITS = 16  # of the digest in a name


class Declared:
    """A type of an SDK, with a name that no other has. `load` imports and returns it."""

    __slots__ = ("load", "name")

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name = name
        self.load = load

    def __repr__(self) -> str:
        return f"Declared({self.name!r})"


class SchemaStore(Protocol):
    """Keeps bytes by names of letters, digits, ``.``, ``-`` and ``_``. It never raises, and has
    only what was put there by the same version of this package and with the same SDKs."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes that were written under `name`; None if there are none."""

    def write(self, name: str, data: bytes) -> None:
        """Keep bytes under `name`, if possible."""


class _NoStore:
    def read(self, name: str) -> bytes | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        pass


_NO_STORE = _NoStore()
_store: SchemaStore = _NO_STORE


def keep_in(store: SchemaStore | None) -> None:
    """Keep what is derived of declared types in `store` from now on; in none if it is None."""
    global _store  # as the SDKs, and the validators of their types: one a process
    _store = _NO_STORE if store is None else store


class Rewriting(NamedTuple):
    """The parameters of `schema.eager_schema`."""

    strict: bool
    lenient_types: frozenset[str]
    always_required: frozenset[str]
    collect_all: bool
    widened: frozenset[str]
    closed: bool


def compile_validator(type_: Any, rewriting: Rewriting) -> SchemaValidator:
    """Return a validator of `type_`, which is `Declared` or anything pydantic can adapt."""
    return compile_schema(type_, rewriting)[0]


def compile_schema(type_: Any, rewriting: Rewriting) -> tuple[SchemaValidator, Schema]:
    """Return a validator of `type_`, and the rewritten schema that it validates by."""
    if not isinstance(type_, Declared):
        return _compile(_derive(type_, rewriting))
    name = _name(type_.name, rewriting)
    kept = _store.read(name)
    if kept is not None:
        with contextlib.suppress(ValueError, TypeError, LookupError, SchemaError):
            return _compile(StoredSchema(kept))
    derived = _derive(type_.load(), rewriting)
    compiled = _compile(derived)
    if not derived.foreign:
        _store.write(name, derived.data)
    return compiled


def _derive(type_: Any, rewriting: Rewriting) -> StoredSchema:
    return stored_schema.dump(eager_schema(type_, **rewriting._asdict()))


def _compile(stored: StoredSchema) -> tuple[SchemaValidator, Schema]:
    schema = stored_schema.load(stored)
    return SchemaValidator(schema), schema


def _name(name: str, rewriting: Rewriting) -> str:
    parts = [sorted(each) if isinstance(each, frozenset) else each for each in rewriting]
    return f"{name}-{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:_DIGITS]}"


Members = Mapping[str, frozenset[str]]
"""The members of types, by their tag."""


def kept_members(name: str, derive: Callable[[], Members]) -> Members:
    """Return the members that were kept under `name`, else those that `derive` returns."""
    name = f"{name}-members"
    kept = _store.read(name)
    if kept is not None:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            return {tag: frozenset(members) for tag, members in orjson.loads(kept).items()}
    derived = derive()
    _store.write(name, orjson.dumps({tag: sorted(members) for tag, members in derived.items()}))
    return derived
