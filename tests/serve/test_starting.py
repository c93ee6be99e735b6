"""Events between two steps of a start. Each has its own loop: what a failure leaves behind would
hang a loop that other tests share."""

from __future__ import annotations

import asyncio

import pytest

from mockllm import AsyncServer, Config, ListenError
from mockllm.app import App
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve.address import bind
from mockllm.serve.connections import Service
from mockllm.serve.listener import Listener
from tests.support.served import PATIENCE, nothing_left_behind


def test_does_not_start_twice_at_once() -> None:
    async def start_twice() -> set[type]:
        server = AsyncServer({})
        started = await asyncio.gather(server.start(), server.start(), return_exceptions=True)
        await server.stop()
        return set(map(type, started))

    with nothing_left_behind():
        assert asyncio.run(start_twice()) == {str, RuntimeError}


def test_a_port_taken_between_bind_and_listen_is_an_error() -> None:
    async def listen_twice() -> None:
        service = Service(App(Engine(load(Config()))))
        first = bind("127.0.0.1", 0)
        second = bind("127.0.0.1", first.getsockname()[1])  # both may, as long as none listens
        listener = Listener(service)
        await listener.start(first)
        try:
            await Listener(service).start(second)
        finally:
            await listener.stop(PATIENCE)

    with nothing_left_behind(), pytest.raises(ListenError, match="the address is in use"):
        asyncio.run(listen_twice())
