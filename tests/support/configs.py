"""A mock in the form of a configuration file, and the errors of a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, ConfigError

MESSAGE = {"role": "user", "content": "hi"}
MOCK = {"name": "greet", "match": {"message": MESSAGE}, "response": {}}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def mistakes(data: Any) -> list[str]:
    """The error messages of an invalid configuration."""
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(data, file="a.json")
    return [str(problem) for problem in caught.value.problems]
