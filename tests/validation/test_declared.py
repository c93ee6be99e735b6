"""Types of SDKs whose schemas are kept."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator
from pydantic_core import SchemaValidator, ValidationError
from typing_extensions import TypedDict

from mockllm.validation import declared
from mockllm.validation.declared import Declared, Rewriting, compile_validator, kept_members
from tests.support.confirming import APIS, SDKS, SMALL, turns
from tests.support.small_types import Note

LENIENT = Rewriting(
    strict=False,
    lenient_types=frozenset({"EasyInputMessageParam", "UserMessageParam"}),
    always_required=frozenset({"name", "call_id"}),
    collect_all=True,
    widened=frozenset(),
    closed=True,
)
REWRITINGS = [LENIENT, LENIENT._replace(strict=True), LENIENT._replace(closed=False)]


class Memory(dict[str, bytes]):
    """A store in memory."""

    def read(self, name: str) -> bytes | None:
        return self.get(name)

    def write(self, name: str, data: bytes) -> None:
        self[name] = data


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(declared, "_store", memory)
    return memory


def types_of(sdk: ModuleType) -> Iterator[Declared]:
    for value in vars(sdk).values():
        yield from (each for each in (value if type(value) is tuple else [value]) if is_type(each))


def is_type(value: object) -> bool:
    return isinstance(value, Declared)


def not_again() -> Any:
    raise AssertionError("it was kept")


def errors(validator: SchemaValidator, value: Any) -> Any:
    try:
        validator.validate_python(value)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def values(api: str) -> list[Any]:
    entries = [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": 5}]},
        {"role": 5, "content": [{"type": "txt", "oops": None}]},
        {"type": "functon_call_output", "call_id": "a", "output": 1.5},
        {"type": "message", "content": []},
        "text",
        None,
    ]
    return [{}, [], None, 1, SMALL[api], *entries, entries, *(turns(api, each) for each in entries)]


@pytest.mark.parametrize("api", APIS)
def test_a_kept_schema_finds_what_a_derived_one_finds(api: str, store: Memory) -> None:
    types = [*types_of(SDKS[api])]
    assert types
    for type_ in types:
        for rewriting in REWRITINGS:
            derived = compile_validator(type_, rewriting)
            kept = compile_validator(Declared(type_.name, not_again), rewriting)
            for value in values(api):
                assert errors(kept, value) == errors(derived, value)
    assert len(store) == len(types) * len(REWRITINGS)


def test_names_are_those_of_one_type_each() -> None:
    names = [type_.name for sdk in SDKS.values() for type_ in types_of(sdk)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("data", [b"", b"[]", b"[null,[]]", b'[{"type":"no such type"},[]]'])
def test_what_is_kept_and_is_no_schema_is_derived_anew(data: bytes, store: Memory) -> None:
    compile_validator(Declared("note", lambda: Note), LENIENT)
    (name,) = store
    right, store[name] = store[name], data

    validator = compile_validator(Declared("note", lambda: Note), LENIENT)

    assert errors(validator, {"type": "note", "notes": []}) == []
    assert errors(validator, {"type": "note", "notes": 5}) != []
    assert store == {name: right}


def test_what_has_objects_of_python_in_it_is_not_kept(store: Memory) -> None:
    class Odd(TypedDict):
        name: Annotated[str, AfterValidator(str.upper)]

    for _ in range(2):
        validator = compile_validator(Declared("odd", lambda: Odd), LENIENT)
        assert errors(validator, {"name": 5}) != []
        assert errors(validator, {"name": "a"}) == []
    assert store == {}


def test_members_are_kept(store: Memory) -> None:
    members = {"text": frozenset({"type", "text"}), "image": frozenset({"type"})}

    assert kept_members("api", lambda: members) == members
    assert kept_members("api", not_again) == members
    for broken in (b"", b"[]", b'{"text": 5}'):
        store["api-members"] = broken
        assert kept_members("api", lambda: members) == members
        assert kept_members("api", not_again) == members
