"""A listener over an engine whose replies are edited, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain, repeat

import anyio
import openai as openai_sdk
from openai import AsyncOpenAI

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Decision, Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Ending, Reply, Request, Step
from mockllm.serve.address import bind, url_of
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.listener import Listener
from tests.support.apps import LoneApp
from tests.support.http.peer import Peer
from tests.support.served import (
    API_KEY,
    PATIENCE,
    chat_mock,
    chat_request,
    chat_saying,
    http_request,
    nothing_left_behind,
    port_of,
    tasks,
)

SHORT = 0.01  # seconds between two steps, so that a stream is not over when it is looked at
FOREVER = 3600.0  # seconds
TEXT = " ".join(map(str, range(20)))
LONG_TEXT = "0123456789" * 1_000_000  # more than all buffers between a server and a client hold

CONFIG = {"openai": [chat_mock("hi", chat_saying(TEXT)), chat_mock("long", chat_saying(LONG_TEXT))]}
LONG_REQUEST = http_request("/v1/chat/completions", chat_request("long"))
STREAM_REQUEST = http_request("/v1/chat/completions", chat_request("hi", stream=True))

Edit = Callable[[Reply], Reply]


class EditedApp(LoneApp):
    """An engine whose streamed replies are edited by `edit`."""

    def __init__(self, edit: Edit) -> None:
        super().__init__(Engine(load(Config.from_dict(CONFIG))))
        self._edit = edit

    def decide(self, request: Request) -> Decision:
        decision = super().decide(request)
        if not decision.reply.streamed:
            return decision
        return decision._replace(reply=self._edit(decision.reply), ready=None)


class BrokenApp(LoneApp):
    """An engine that raises for chats."""

    def decide(self, request: Request) -> Decision:
        if request.path == "/v1/chat/completions":
            raise ZeroDivisionError("never shown to a client")
        return super().decide(request)


def paced(*pauses: float, then: float = 0.0) -> Edit:
    """Pauses before the steps: each of `pauses`, then always `then`."""

    def edit(reply: Reply) -> Reply:
        timed = zip(chain(pauses, repeat(then)), reply.steps, strict=False)
        return replace(reply, steps=tuple(Step((step.data,), pause) for pause, step in timed))

    return edit


def ended(ending: Ending, *, after: int) -> Edit:
    """The first `after` steps, then this ending."""
    return lambda reply: replace(reply, steps=tuple(reply.steps)[:after], ending=ending)


def endless(reply: Reply) -> Reply:
    """The steps repeated for hours."""
    first, *others = reply.steps
    steps = tuple(Step((step.data,), SHORT) for step in (first, *others))
    return replace(reply, steps=(first, *steps * 100_000))


def unchanged(reply: Reply) -> Reply:
    return reply


class Running:
    """A listener that is started, and how to reach it."""

    def __init__(self, listener: Listener, url: str, client: AsyncOpenAI) -> None:
        self.listener = listener
        self.port = port_of(url)
        self.client = client
        self.stops: list[asyncio.Task[None]] = []

    async def begin_to_stop(self, drain_timeout: float) -> asyncio.Task[None]:
        """Stop it in a task; returns once the stop has begun, seen by an idle client."""
        witness = await Peer.connect(self.port)
        stop = asyncio.ensure_future(self.listener.stop(drain_timeout))
        self.stops.append(stop)
        await witness.ended.wait()
        return stop

    async def stream(self) -> openai_sdk.AsyncStream[openai_sdk.types.chat.ChatCompletionChunk]:
        return await self.client.chat.completions.create(**chat_request("hi"), stream=True)


@asynccontextmanager
async def running(
    engine: App,
    observers: tuple[Callable[[Exchange], None], ...] = (),
    clock: Clock | None = None,
) -> AsyncIterator[Running]:
    """`engine`, listening; stopped at the end unless it is before."""
    before = tasks()
    with nothing_left_behind():
        sock = bind("127.0.0.1", 0)
        listener = Listener(Service(engine, observers=observers, clock=clock))
        await listener.start(sock)
        url = url_of(sock)
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key=API_KEY, max_retries=0)
        with anyio.fail_after(PATIENCE):
            async with client:
                found = Running(listener, url, client)
                yield found
            if not found.stops:
                await listener.stop(PATIENCE)
        await asyncio.sleep(0)  # what has closed is told so
        await asyncio.sleep(0)
        del sock, listener, client
        assert tasks() == before, asyncio.all_tasks()


async def text_of(stream: AsyncIterator[openai_sdk.types.chat.ChatCompletionChunk]) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
