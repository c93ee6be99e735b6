"""Traffic with several workers: the time of each counts from the start of the server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.http_library import httpx
from tests.support.processes import posix, running, until, write
from tests.support.served import OPENAI_HEADERS, chat_request

pytestmark = pytest.mark.anyio

CONNECTIONS = 8  # with two workers it is most unlikely that all reach the same one
OUTAGE = {"traffic": [{"to": "1h", "error": "overloaded"}], "mocks": [{"reply": "ok"}]}


def statuses(port: int) -> set[int]:
    """The statuses of requests over connections of their own."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    return {
        httpx.post(url, json=chat_request("hi"), headers=OPENAI_HEADERS).status_code
        for _ in range(CONNECTIONS)
    }


@posix
async def test_workers_that_come_later_count_from_the_start_of_the_server(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", OUTAGE)
    options = ["--port=0", "--workers=2", "--speed=1800"]  # the outage takes 2 seconds
    with running("--config", file, *options) as command:
        await until(lambda: statuses(command.port) == {200})

        old = set(command.workers())
        command.signal(signal.SIGHUP)
        command.told("mockllm: reloaded")
        await until(lambda: len(command.workers()) == 2 and not old & set(command.workers()))

        assert statuses(command.port) == {200}
