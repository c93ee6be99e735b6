"""The `match` of what holds for several APIs: the mocks of every API, and the entries of `traffic`.

{"user": {"contains": "weather"}, "system_contains": ["terse"], "tool_names": ["get_weather"]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mockllm.config.conditions import Conditions
from mockllm.config.values import ListOrNull

_Texts = ListOrNull[str]


class Match(Conditions):
    """The conditions that every API has. All that are present must hold; without any, every request
    matches."""

    system_contains: _Texts = Field(default_factory=list)
    """Texts that the instructions of the request (system and developer messages) contain, all of
    them."""
    tool_names: _Texts = Field(default_factory=list)
    """Names of tools that the request offers, all of them."""
    all_of: Sequence[Match] | None = None
    any_of: Annotated[Sequence[Match], Field(min_length=1)] | None = None
    not_: Annotated[Match | None, Field(validation_alias="not", serialization_alias="not")] = None
