"""Servers with a control API, of one process and of several, and a client of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from mockllm import Control, Server
from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.deployments import TOKEN, Controlled
from tests.support.processes import is_accepted, running, write

HAS_WORKERS = os.name == "posix" and is_accepted("--control", "--workers=4")
WORKERS = [1, *([4] if HAS_WORKERS else [])]
CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "ask", "match": {"user": {"contains": "weather"}}, "reply": "Where?"},
        {"name": "steps", "match": {"user": "steps"}, "sequence": ["one", "two"]},
        {"name": "held", "match": {"user": "hold"}, "reply": "x", "fault": {"hold": "g"}},
    ],
    "traffic": [{"name": "busy", "match": {"user": "t"}, "from": "1h", "error": "overloaded"}],
}


@pytest.fixture(scope="module", params=WORKERS, ids="workers={}".format)
def controlled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server in this process, or one of so many workers, which has the same words."""
    if request.param == 1:
        with Server(CONFIG, control=True) as server:
            yield server
        return
    folder: Path = tmp_path_factory.mktemp("workers")
    file = write(folder / "mocks.json", CONFIG)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(TOKEN_VARIABLE, TOKEN)
        with (
            running(file, "--port=0", "--control", f"--workers={request.param}") as command,
            Controlled(command.url, token=TOKEN) as server_of_workers,
        ):
            yield cast("Server", server_of_workers)


@pytest.fixture
def control(controlled: Server) -> Iterator[Control]:
    controlled.reset_state()
    controlled.clear_calls()
    with Control(controlled.base_url, token=controlled.control_token) as control:
        yield control
