"""Limits of a server."""

from __future__ import annotations

import pytest

from mockllm import AsyncServer
from mockllm.limits import Limits
from tests.support.processes import ask, config
from tests.support.served import port_of

pytestmark = pytest.mark.anyio


async def test_servers_enforce_their_limits() -> None:
    async with AsyncServer(config(), limits=Limits(body=50)) as server:
        assert (await ask(port_of(server.base_url))).status == 413
