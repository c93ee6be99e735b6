"""The listening socket of a server that stops."""

from __future__ import annotations

import socket

import pytest

from mockllm import AsyncServer
from tests.support.http.messages import get
from tests.support.processes import config
from tests.support.served import port_of

pytestmark = pytest.mark.anyio


READY = get(target="/ready")


async def test_who_has_connected_before_it_stops_is_answered() -> None:
    """Though the server has not accepted the connection yet."""
    server = AsyncServer(config())
    await server.start()
    clients = [socket.create_connection(("127.0.0.1", port_of(server.base_url))) for _ in range(5)]
    for client in clients:
        client.sendall(READY)
    await server.stop()
    for client in clients:
        with client:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
