"""The base of all objects of a configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mockllm import EmbeddingsEntry, Error, Fault, Match, Mock, Reply, ToolCall
from mockllm.config.objects import ConfigObject
from mockllm.errors import ConfigError


class Thing(ConfigObject):
    name: str = ""


def test_keys_of_the_author_are_ignored() -> None:
    assert Thing.model_validate({"_comment": 1, "$schema": "x", "name": "a"}) == Thing(name="a")


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError, match="nam"):
        Thing.model_validate({"nam": "a"})


def test_what_is_written_in_python_gets_the_help_that_a_file_gets() -> None:
    written: dict[str, Any] = {"nam": "a"}

    with pytest.raises(ConfigError) as caught:
        Thing(**written)

    assert str(caught.value) == (
        "Thing(): nam: unknown key, expected one of name; did you mean 'name'?"
    )
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("model", "unnamed", "expected"),
    [
        (Reply, ["hi"], "Reply(text=...)"),
        (ToolCall, ["f", {}], "ToolCall(name=..., arguments=...)"),
        (Error, ["rate_limit"], "Error(word=...)"),
        (Fault, ["cut"], "Fault(end=...)"),
        (Mock, ["hi"], "Mock(reply=...)"),
        (EmbeddingsEntry, [1], "EmbeddingsEntry(response=...)"),
        (Match, ["hi"], "Match(user=...)"),
    ],
)
def test_a_value_without_a_keyword_is_told_with_one(
    model: Any, unnamed: list[Any], expected: str
) -> None:
    with pytest.raises(TypeError) as caught:
        model(*unnamed)

    assert str(caught.value) == f"{model.__name__}() takes keywords only; write {expected}"


def test_a_dict_is_told_with_the_stars_before_it() -> None:
    model: Any = Mock  # type checkers know better

    with pytest.raises(
        TypeError, match=r"Mock\(\) takes keywords only; of a dict, write Mock\(\*\*"
    ):
        model({"reply": "hi"})


def test_an_object_within_a_file_is_not_made_by_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Thing, "__init__", None)  # a call would fail

    assert TypeAdapter(list[Thing]).validate_python([{"name": "a"}])[0].name == "a"


def test_an_object_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Thing().name = "b"


class Unwanted(ConfigObject):
    not_: int = Field(default=0, validation_alias="not", serialization_alias="not")


def test_a_key_may_be_a_word_of_python() -> None:
    assert Unwanted.model_validate({"not": 1}).not_ == 1
    assert Unwanted(not_=1).model_dump() == {"not": 1}


class Described(ConfigObject):
    """An object with docstrings of fields."""

    named: int = Field(1, validation_alias="class")
    """What is *named*,
    on two lines."""
    bare: int = 2
    own: int = Field(3, description="its own words")
    """Not these."""
    again: int = 4
    """What is declared again."""

    def method(self) -> None:
        """Nobody's."""


class Inheriting(Described):
    """An object with those of another."""

    again: int = 5
    nested: Described | None = None
    """Another object."""


def test_a_schema_describes_fields_by_their_docstrings() -> None:
    schema = Inheriting.model_json_schema()
    described = {name: each.get("description") for name, each in schema["properties"].items()}

    assert described == {
        "class": "What is *named*,\non two lines.",
        "bare": None,
        "own": "its own words",
        "again": "What is declared again.",
        "nested": "Another object.",
    }
    nested = schema["$defs"]["Described"]["properties"]
    assert nested["again"]["description"] == "What is declared again."


def test_the_docstrings_are_those_that_pydantic_reads() -> None:
    class Read(Described):
        model_config = ConfigDict(use_attribute_docstrings=True)

        read: int = 6
        """What Pydantic reads."""

    class ReadLater(Described):
        read: int = 6
        """What Pydantic reads."""

    schema, later = Read.model_json_schema(), ReadLater.model_json_schema()
    assert later["properties"] == schema["properties"]
