"""A cluster on this machine: two servers of two workers on one Redis, under clients of one session,
while workers are killed and Redis is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from itertools import count, cycle
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from tests.support.processes import Command, posix, running, until, write
from tests.support.redis_servers import RedisServer, needs_redis
from tests.support.served import API_KEY

pytestmark = [pytest.mark.anyio, needs_redis, posix]

PLACES = 1_000
CLIENTS = 32
KILL_EVERY = 150  # places that were received
RESTART_AT = 500
SESSION = "crowd"
MOCKS = {"mocks": [{"name": "places", "sequence": [str(n + 1) for n in range(PLACES)]}]}


class Crowd:
    """Clients that ask until the sequence is over, each at one server and the other in turn."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._ports = [command.port for command in commands]
        self.received: list[list[int]] = [[] for _ in range(CLIENTS)]
        self.ends: list[str | None] = []
        """Why each client stopped."""
        self.failed = 0
        """Calls that got no answer, although the client has retried them."""
        self.more = asyncio.Event()

    @property
    def total(self) -> int:
        return sum(map(len, self.received))

    async def ask(self) -> None:
        """Ask until all clients were told that nothing is left."""
        async with (
            AsyncOpenAI(api_key=API_KEY, base_url="http://127.0.0.1") as client,
            asyncio.TaskGroup() as group,
        ):
            urls = [f"http://127.0.0.1:{port}/session/{SESSION}/v1" for port in self._ports]
            both = [client.with_options(base_url=url) for url in urls]
            for number in range(CLIENTS):
                group.create_task(self._ask(number, both[number % 2 :] + both[: number % 2]))

    async def _ask(self, number: int, clients: Sequence[AsyncOpenAI]) -> None:
        for call, client in zip(count(), cycle(clients), strict=False):
            words = f"client {number}, call {call}"
            try:
                answer = await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": words}]
                )
            except openai.NotFoundError as exc:
                self.ends.append(exc.code)
                return
            except (openai.APIConnectionError, openai.InternalServerError):
                self.failed += 1
                continue
            self.received[number].append(int(answer.choices[0].message.content or ""))
            self.more.set()

    async def reach(self, total: int) -> bool:
        """Wait until so many places were received."""
        while self.total < total:
            self.more.clear()
            await self.more.wait()
        return True


async def kill_workers(crowd: Crowd, commands: Sequence[Command]) -> None:
    """Kill a worker of one server and of the other in turn, for ever."""
    for number, command in zip(count(1), cycle(commands), strict=False):
        await crowd.reach(number * KILL_EVERY)
        await until(lambda: len(command.workers()) == 2)  # noqa: B023  # it is over when it changes
        os.kill(command.workers()[number % 2], signal.SIGKILL)


async def restart(crowd: Crowd, redis: RedisServer) -> None:
    await crowd.reach(RESTART_AT)
    redis.kill()
    await asyncio.to_thread(redis.start)


async def test_no_place_is_given_twice_whatever_dies(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(contextlib.closing(RedisServer(persists=True)))
        options = ["--port=0", "--workers=2", f"--state={redis.url}"]
        starting = [asyncio.to_thread(stack.enter_context, running(file, *options)) for _ in "ab"]
        commands = await asyncio.gather(*starting)
        crowd = Crowd(commands)
        killing = asyncio.create_task(kill_workers(crowd, commands))
        restarting = asyncio.create_task(restart(crowd, redis))

        await crowd.ask()

        await restarting
        killed = killing.cancel()
        with redis.client() as client:
            taken = client.hgetall(f"mockllm:answers:{SESSION}")
    received = [place for places in crowd.received for place in places]
    assert killed
    assert crowd.ends == ["mock_exhausted"] * CLIENTS
    assert [int(number) for number in taken.values()] == [PLACES]
    assert len(received) == len(set(received)), "a place was given twice"
    assert set(received) <= set(range(1, PLACES + 1))
    assert all(places == sorted(places) for places in crowd.received)
    lost = PLACES - len(received)
    assert lost <= crowd.failed
