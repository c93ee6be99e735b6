"""Readiness: `GET /ready` before, while and after a server listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from mockllm import AsyncServer
from mockllm.serve.listener import Listener
from mockllm.state.store import Condition, LocalStore
from tests.support.http.messages import get
from tests.support.processes import ask, config, connected, nobody_listens
from tests.support.served import PATIENCE, port_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    async with AsyncServer(config()) as server:
        yield server


def listener_of(server: AsyncServer) -> Listener:
    assert server._listening is not None
    return server._listening.listener


READY = get(target="/ready")
HEALTH = get(target="/health")


async def test_is_ready_once_it_listens(server: AsyncServer) -> None:
    answer = await ask(port_of(server.base_url), READY)
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready"})


async def test_is_not_ready_while_it_drains() -> None:
    server = AsyncServer(config(), drain_timeout=PATIENCE)
    await server.start()
    port, listener = port_of(server.base_url), listener_of(server)
    async with connected(port) as one, connected(port) as other:
        for connection in (one, other):
            assert (await connection.ask(READY)).status == 200
        stopping = asyncio.create_task(listener.stop(PATIENCE, last_call=PATIENCE))
        await nobody_listens(port)
        answer = await one.ask(READY)
        assert (answer.status, answer.closes) == (503, True)
        assert json.loads(answer.body) == {"status": "draining"}
        answer = await other.ask()  # it is answered nevertheless
        assert (answer.status, answer.closes) == (200, True)
        assert await one.is_closed()
        await stopping
    server._listening = None  # it was stopped by its listener


@pytest.mark.parametrize(
    ("condition", "status", "body"),
    [
        (Condition.JOINING, 503, {"status": "joining", "state": "joining"}),
        (Condition.SHARED, 200, {"status": "ready", "state": "shared"}),
        (Condition.LOST, 200, {"status": "ready", "state": "lost"}),
        (Condition.REFUSED, 503, {"status": "refused", "state": "refused"}),
    ],
)
async def test_tells_what_is_known_of_the_state_of_several_servers(
    server: AsyncServer, condition: Condition, status: int, body: dict[str, str]
) -> None:
    assert server._listening is not None
    server._listening.app.share_state(LocalStore(), lambda: condition)

    answer = await ask(port_of(server.base_url), READY)

    assert (answer.status, json.loads(answer.body)) == (status, body)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_ready_accepts_get_only(server: AsyncServer, method: str) -> None:
    answer = await ask(port_of(server.base_url), get(target="/ready", method=method))
    assert answer.status == 405


async def test_health_says_how_late_paced_answers_were() -> None:
    async with AsyncServer(config(), latency={"ttft": "1ms"}) as server:
        port = port_of(server.base_url)
        before = json.loads((await ask(port, HEALTH)).body)
        assert (await ask(port)).status == 200
        after = json.loads((await ask(port, HEALTH)).body)

    assert "timing" not in before
    timing = after["timing"]
    assert (timing["requests"], timing["most_open"], timing["steps"]) == (1, 1, 1)
    assert 0 <= timing["late_ms"]["p50"] <= timing["late_ms"]["max"]


async def test_health_says_nothing_of_answers_without_latency(server: AsyncServer) -> None:
    port = port_of(server.base_url)
    assert (await ask(port)).status == 200

    assert "timing" not in json.loads((await ask(port, HEALTH)).body)
