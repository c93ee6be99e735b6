"""A server with the configuration of docs/agents.md, and the tool that its agents call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockllm import Server
from tests.agents.weather import Station, configuration

OVERLOADED = (503, 529)  # of OpenAI and of Anthropic


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that was overloaded once when the test ends, and asked again."""
    with Server(configuration()) as running:
        yield running
    asked, overloaded, told = [call.status for call in running.calls]
    assert (asked, told) == (200, 200)
    assert overloaded in OVERLOADED


@pytest.fixture
def station() -> Iterator[Station]:
    """A tool which must have been called once for each city when the test ends."""
    tool = Station()
    yield tool
    assert sorted(tool.asked) == ["Oslo", "Paris"]
