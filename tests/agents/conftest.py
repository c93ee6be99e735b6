"""A server with the configuration of docs/agents.md, and the tool that its agents call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockllm import Server
from tests.agents.weather import Station, configuration


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(configuration()) as running:
        yield running


@pytest.fixture
def station() -> Iterator[Station]:
    """A tool which must have been called once for each city when the test ends."""
    tool = Station()
    yield tool
    assert sorted(tool.asked) == ["Oslo", "Paris"]
