"""Limits of a server."""

from __future__ import annotations

import pytest

from mockllm import AsyncServer
from mockllm.limits import MAX_SPEED, MIN_SPEED, Limits
from mockllm.serve.protocol import HTTPProtocol
from tests.support.http.messages import get
from tests.support.http.peer import Peer
from tests.support.processes import ask, config, until
from tests.support.served import port_of

pytestmark = pytest.mark.anyio


async def test_servers_enforce_their_limits() -> None:
    async with AsyncServer(config(), limits=Limits(body=50)) as server:
        assert (await ask(port_of(server.base_url))).status == 413


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of the checks of connections, which come every millisecond."""
    monkeypatch.setattr("mockllm.serve.connections.CHECK_INTERVAL", 0.001)
    found: list[float] = []
    check = HTTPProtocol.check

    def note(protocol: HTTPProtocol, now: float) -> None:
        found.append(now)
        check(protocol, now)

    monkeypatch.setattr(HTTPProtocol, "check", note)
    return found


async def test_a_high_speed_shortens_no_limit(checks: list[float]) -> None:
    seconds = MAX_SPEED / 1000  # a millisecond, if the speed applied to it
    limits = Limits(head_time=seconds, keep_alive=seconds)
    async with AsyncServer(config(), limits=limits, speed=MAX_SPEED) as server:
        idle, slow = [await Peer.connect(port_of(server.base_url)) for _ in range(2)]
        slow.send(get()[:20])
        await until(lambda: bool(checks) and checks[-1] - checks[0] > 0.1)

        assert not idle.ended.is_set()
        assert not slow.received
        slow.send(get()[20:])
        assert await slow.read_until(b"HTTP/1.1 200 OK")
        for peer in (idle, slow):
            peer.close()


async def test_a_low_speed_lengthens_no_limit(checks: list[float]) -> None:
    limits = Limits(head_time=0.01, keep_alive=0.01)
    async with AsyncServer(config(), limits=limits) as server:
        server.speed = MIN_SPEED
        idle, slow = [await Peer.connect(port_of(server.base_url)) for _ in range(2)]
        slow.send(get()[:20])

        assert await idle.read_all() == b""
        assert (await slow.read_all()).startswith(b"HTTP/1.1 408 ")
    assert checks
