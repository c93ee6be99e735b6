"""The match that mocks of every API and traffic have."""

from __future__ import annotations

import pytest

from mockllm import Config, ConfigError, Match


def test_conditions_may_be_nested() -> None:
    match = Match(any_of=[Match(model="a"), Match(not_=Match(tool_names=["b"]))])

    assert match.any_of is not None
    assert [each.model for each in match.any_of] == ["a", None]


def test_the_message_of_one_api_is_no_condition_of_all() -> None:
    with pytest.raises(ConfigError, match=r"mocks\[0\]: match.message: expected in the list of"):
        Config.from_dict({"mocks": [{"match": {"message": {}}, "reply": "a"}]})
