"""An `AsyncServer` outside the loop in which it was started: a RuntimeError, not a time-out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from mockllm import AsyncServer
from tests.support.served import PATIENCE, nothing_left_behind

Use = Callable[[AsyncServer], Awaitable[object]]


async def base_url(server: AsyncServer) -> str:
    return server.base_url


async def openai_base_url(server: AsyncServer) -> str:
    return server.openai_base_url


async def anthropic_base_url(server: AsyncServer) -> str:
    return server.anthropic_base_url


async def enter(server: AsyncServer) -> None:
    async with server:
        pass


async def leave(server: AsyncServer) -> None:
    await server.__aexit__(None, None, None)


URLS: list[Use] = [base_url, openai_base_url, anthropic_base_url]
METHODS: list[Use] = [AsyncServer.start, AsyncServer.stop, enter, leave]


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.mark.parametrize("use", [*URLS, *METHODS])
def test_use_in_another_loop_is_an_error_with_the_remedy(use: Use) -> None:
    server = AsyncServer({})
    with asyncio.Runner() as own, asyncio.Runner() as other:
        own.run(server.start())
        with pytest.raises(RuntimeError, match=r"in another event loop.*loop_scope.*or use Server"):
            other.run(_in_time(use, server))
        own.run(server.stop())  # unchanged by the mistake


@pytest.mark.parametrize("use", [*URLS, *METHODS])
def test_use_after_the_loop_was_closed_is_an_error_with_the_remedy(use: Use) -> None:
    server = AsyncServer({})
    asyncio.run(server.start())
    with pytest.raises(RuntimeError, match=r"has been closed.*loop_scope.*or use Server"):
        asyncio.run(_in_time(use, server))
    if use in URLS:
        with pytest.raises(RuntimeError, match="has been closed"):
            asyncio.run(server.stop())


def test_a_server_whose_loop_was_closed_leaves_nothing_and_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = AsyncServer({}, uds=path)
    asyncio.run(server.start())
    with pytest.raises(RuntimeError, match="has been closed"):
        asyncio.run(server.stop())
    assert not path.exists()
    asyncio.run(enter(server))


def test_has_a_url_between_two_runs_of_its_loop() -> None:
    server = AsyncServer({})
    with asyncio.Runner() as own:
        url = own.run(server.start())
        assert server.base_url == url
        own.run(server.stop())


async def _in_time(use: Use, server: AsyncServer) -> None:
    with anyio.fail_after(PATIENCE):
        await use(server)


def test_has_a_url_in_a_loop_of_another_thread_while_its_own_runs() -> None:
    found: list[str] = []

    async def serve() -> str:
        async with AsyncServer({}) as server:
            thread = threading.Thread(target=lambda: found.append(asyncio.run(base_url(server))))
            thread.start()
            await asyncio.to_thread(thread.join)
            return server.base_url

    assert [asyncio.run(serve())] == found


def test_needs_a_loop_of_asyncio() -> None:
    starting = AsyncServer({}).start()  # as trio would run it
    with pytest.raises(RuntimeError, match="needs a running asyncio event loop; Server needs none"):
        starting.send(None)


def test_stopping_a_server_that_is_not_started_is_no_error_in_any_loop() -> None:
    server = AsyncServer({})
    for _ in range(2):
        asyncio.run(enter(server))
        asyncio.run(server.stop())
