"""The base of all objects of a configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

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
