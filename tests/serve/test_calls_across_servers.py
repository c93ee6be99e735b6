"""The calls of several servers that share a Redis, when one of their processes ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mockllm.serve.distant.calls import DEAD
from tests.serve.test_changes_across_servers import Servers, two_servers
from tests.serve.test_changes_across_workers import CONFIG
from tests.support.processes import needs_proc, posix, until, write
from tests.support.redis_servers import needs_redis, shared_server

pytestmark = [posix, needs_proc, needs_redis, pytest.mark.anyio]


def calls(servers: Servers, query: str = "") -> tuple[list[str], str | None]:
    """The words of all calls, and what is missing, as the first server tells."""
    found: Any = servers.client().ask("GET", f"calls{query}").value
    return sorted(each["text"] for each in found["calls"]), found["missing"]


async def test_only_what_dies_untold_is_missing(tmp_path: Path) -> None:
    config = write(tmp_path / "mocks.json", CONFIG)
    with two_servers(config, shared_server()) as servers:
        clients = servers.clients()
        for number, client in enumerate(clients.values()):
            client.say(f"word-{number}")
        assert calls(servers) == ([f"word-{number}" for number in range(4)], None)

        other = servers.servers[1].command
        other.signal(signal.SIGTERM)
        assert other.ended() == 0
        assert calls(servers) == ([f"word-{number}" for number in range(4)], None)

        workers = servers.servers[0].command.workers()
        killed = workers[0]
        clients[killed].say("untold")
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in servers.servers[0].command.workers())
        await until(lambda: calls(servers)[1] == DEAD)
        assert servers.client().ask("PUT", "sessions/new", {}).status == 201
        assert calls(servers, "?session=new") == ([], None)
        servers.close()
