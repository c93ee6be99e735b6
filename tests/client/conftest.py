"""A server with a control API, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockllm import Control, Server

CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "ask", "match": {"user": {"contains": "weather"}}, "reply": "Where?"},
        {"name": "steps", "match": {"user": "steps"}, "sequence": ["one", "two"]},
        {"name": "held", "match": {"user": "hold"}, "reply": "x", "fault": {"hold": "g"}},
    ],
    "traffic": [{"name": "busy", "match": {"user": "t"}, "from": "1h", "error": "overloaded"}],
}


@pytest.fixture(scope="module")
def controlled() -> Iterator[Server]:
    with Server(CONFIG, control=True) as server:
        yield server


@pytest.fixture
def control(controlled: Server) -> Iterator[Control]:
    controlled.reset_state()
    controlled.clear_calls()
    with Control(controlled.base_url, token=controlled.control_token) as control:
        yield control
