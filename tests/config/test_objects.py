"""The base of all objects of a configuration."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from mockllm.config.objects import ConfigObject


class Thing(ConfigObject):
    name: str = ""


def test_keys_of_the_author_are_ignored() -> None:
    assert Thing.model_validate({"_comment": 1, "$schema": "x", "name": "a"}) == Thing(name="a")


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError, match="nam"):
        Thing.model_validate({"nam": "a"})


def test_an_object_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Thing().name = "b"


class Unwanted(ConfigObject):
    not_: int = Field(default=0, validation_alias="not", serialization_alias="not")


def test_a_key_may_be_a_word_of_python() -> None:
    assert Unwanted.model_validate({"not": 1}).not_ == 1
    assert Unwanted(not_=1).model_dump() == {"not": 1}
