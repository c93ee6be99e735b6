"""A listening server: where what other threads ask of it is done."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mockllm import AsyncServer
from mockllm.serve.listening import running_loop

pytestmark = pytest.mark.anyio


async def test_a_function_runs_in_the_loop_of_the_server_whoever_asks() -> None:
    async with AsyncServer({}) as server:
        listening = server._serving()
        own = threading.get_ident()

        assert listening.run(threading.get_ident) == own
        assert await asyncio.to_thread(listening.run, threading.get_ident) == own


async def test_an_exception_of_a_function_reaches_who_asked() -> None:
    def fail() -> None:
        raise ValueError("no")

    async with AsyncServer({}) as server:
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(server._serving().run, fail)


def test_there_may_be_no_loop() -> None:
    assert running_loop() is None
