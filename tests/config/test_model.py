"""The base of the objects in a configuration."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from mockllm.config.model import ConfigModel


class Example(ConfigModel):
    not_: int = Field(default=0, validation_alias="not", serialization_alias="not")


def test_a_key_may_be_a_word_of_python() -> None:
    assert Example.model_validate({"not": 1}).not_ == 1
    assert Example(not_=1).model_dump() == {"not": 1}


def test_keys_of_the_author_are_left_out_and_others_refused() -> None:
    assert Example.model_validate({"_comment": "x", "$schema": "y"}).not_ == 0
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Example.model_validate({"nor": 1})
