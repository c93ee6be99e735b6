"""Pools that the workers of a server share: what becomes of the line when one of them dies."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import posix, until, write
from tests.support.served import chat_request
from tests.support.workers import Client, serving

pytestmark = [pytest.mark.anyio, posix]

POOL = {"pool": "gpu", "concurrency": 1, "shared": True}
CONFIG: dict[str, Any] = {
    "mocks": [
        {"match": {"user": "long"}, "reply": "one two three", "latency": {"itl": "1h", **POOL}},
        {"match": {"user": "hello"}, "reply": "hi", "latency": {"ttft": "1ms", **POOL}},
    ],
}


def begin_long(client: Client) -> None:
    """Begin a stream that has its place when this returns."""
    client.send("POST", "/v1/chat/completions", chat_request("long", stream=True))
    assert client._connection.getresponse().status == 200


async def test_the_place_of_a_worker_that_is_killed_is_that_of_the_next_in_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "mocks.json", CONFIG)
    with serving(monkeypatch, config, workers=2) as workers:
        (pid, first), (_, second) = workers.clients().items()
        begin_long(first)
        second.begin("hello")

        os.kill(pid, signal.SIGKILL)

        assert second.text() == "hi"


async def test_a_line_goes_on_when_one_of_it_is_killed_or_its_client_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "mocks.json", CONFIG)
    with serving(monkeypatch, config, workers=3) as workers:
        (_, first), (pid, second), (_, third) = workers.clients().items()
        begin_long(first)
        second.begin("hello")
        third.begin("hello")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pid not in workers.command.workers())

        first._connection.sock.shutdown(socket.SHUT_RDWR)

        assert third.text() == "hi"
