"""Answers that take long: what else is served meanwhile, and what becomes of them at a stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain, repeat

import anyio
import openai as openai_sdk
import pytest
from openai import AsyncOpenAI

from mockllm import Config
from mockllm.engine import Engine
from mockllm.exchange import Decision, Ending, Exchange, Reply, Request, Step
from mockllm.loading import load
from mockllm.serve.address import bind, url_of
from mockllm.serve.protocol import Service
from mockllm.serve.server import Listener
from tests.support.http.answers import read_answers
from tests.support.http.messages import KIB, get, post
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

pytestmark = pytest.mark.anyio

SHORT = 0.01  # seconds between two steps, so that a stream is not over when it is looked at
FOREVER = 3600.0  # seconds
TEXT = " ".join(map(str, range(20)))
LONG_TEXT = "0123456789" * 1_000_000  # more than all buffers between a server and a client hold

CONFIG = {"openai": [chat_mock("hi", chat_saying(TEXT)), chat_mock("long", chat_saying(LONG_TEXT))]}
LONG_REQUEST = http_request("/v1/chat/completions", chat_request("long"))
STREAM_REQUEST = http_request("/v1/chat/completions", chat_request("hi", stream=True))

Edit = Callable[[Reply], Reply]


class EditedEngine(Engine):
    """Answers a stream as `edit` makes it, and everything else as it is."""

    def __init__(self, edit: Edit) -> None:
        super().__init__(load(Config.from_dict(CONFIG)))
        self._edit = edit

    def decide(self, request: Request) -> Decision:
        decision = super().decide(request)
        if not decision.reply.streamed:
            return decision
        return decision._replace(reply=self._edit(decision.reply), ready=None)


class BrokenEngine(Engine):
    """Has a bug where it decides on chats."""

    def decide(self, request: Request) -> Decision:
        if request.path == "/v1/chat/completions":
            raise ZeroDivisionError("never shown to a client")
        return super().decide(request)


def paced(*pauses: float, then: float = 0.0) -> Edit:
    """Before each step the next of `pauses`, and then always the same."""

    def edit(reply: Reply) -> Reply:
        timed = zip(chain(pauses, repeat(then)), reply.steps, strict=False)
        return replace(reply, steps=tuple(Step(pause, step.data) for pause, step in timed))

    return edit


def ended(ending: Ending, *, after: int) -> Edit:
    """So many steps, then this ending."""
    return lambda reply: replace(reply, steps=reply.steps[:after], ending=ending)


def endless(reply: Reply) -> Reply:
    """Its steps again and again, for hours."""
    steps = tuple(Step(SHORT, step.data) for step in reply.steps)
    return replace(reply, steps=(reply.steps[0], *steps * 100_000))


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
        """Have it stop in a task; returns when it has begun, as a client that idles can tell."""
        witness = await Peer.connect(self.port)
        stop = asyncio.ensure_future(self.listener.stop(drain_timeout))
        self.stops.append(stop)
        await witness.ended.wait()
        return stop

    async def stream(self) -> openai_sdk.AsyncStream[openai_sdk.types.chat.ChatCompletionChunk]:
        return await self.client.chat.completions.create(**chat_request("hi"), stream=True)


@asynccontextmanager
async def running(
    engine: Engine, observers: tuple[Callable[[Exchange], None], ...] = ()
) -> AsyncIterator[Running]:
    """`engine`, listening; stopped at the end unless it is before."""
    before = tasks()
    with nothing_left_behind():
        sock = bind("127.0.0.1", 0)
        listener = Listener(Service(engine, observers=observers))
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


# --- Pauses ---------------------------------------------------------------------------------------


async def test_a_stream_with_pauses_arrives_whole() -> None:
    async with running(EditedEngine(paced(then=SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_stream_that_pauses_holds_up_nobody_else() -> None:
    async with running(EditedEngine(paced(0.0, then=FOREVER))) as server:
        slow = await server.stream()
        assert (await anext(slow)).choices[0].delta.role == "assistant"
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
        await slow.close()
        await (await server.begin_to_stop(drain_timeout=0))


async def test_an_answer_may_wait_before_its_first_byte() -> None:
    async with running(EditedEngine(paced(SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_client_that_leaves_ends_its_answer() -> None:
    async with running(EditedEngine(endless)) as server:
        stream = await server.stream()
        await anext(stream)
        await stream.close()
        # `running` finds that the answer ends, though there are hours of it.


async def test_a_client_that_resets_ends_its_answer_in_a_pause() -> None:
    async with running(EditedEngine(paced(0.0, then=FOREVER))) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        peer.reset()


# --- Stops ----------------------------------------------------------------------------------------


async def test_a_stop_lets_a_stream_end() -> None:
    async with running(EditedEngine(paced(then=SHORT))) as server:
        stream = await server.stream()
        first = (await anext(stream)).choices[0].delta.content or ""
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        assert first + await text_of(stream) == TEXT
        await stop


async def test_a_stop_lets_several_streams_end() -> None:
    async with running(EditedEngine(paced(then=SHORT))) as server:
        streams = [await server.stream() for _ in range(10)]
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        assert await asyncio.gather(*map(text_of, streams)) == [TEXT] * 10
        await stop


async def test_a_stop_cuts_what_does_not_end_in_time() -> None:
    async with running(EditedEngine(paced(0.0, then=FOREVER))) as server:
        stream = await server.stream()
        await anext(stream)
        await (await server.begin_to_stop(drain_timeout=SHORT))
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(stream)


async def test_a_stop_without_a_drain_timeout_is_at_once() -> None:
    async with running(EditedEngine(paced(0.0, then=FOREVER))) as server:
        stream = await server.stream()
        await anext(stream)
        await (await server.begin_to_stop(drain_timeout=0))
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(stream)


async def test_a_stop_waits_for_a_reader_that_is_slow() -> None:
    async with running(EditedEngine(unchanged)) as server:
        peer = await Peer.connect(server.port, receive_buffer=8 * KIB)
        peer.send(LONG_REQUEST)
        await peer.read_until(b"\r\n\r\n")
        peer.stop_reading()
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        peer.go_on_reading()
        (answer,) = read_answers(await peer.read_all())
        assert (answer.status, answer.whole) == (200, True)
        assert LONG_TEXT.encode() in answer.body
        await stop
        peer.close()


async def test_a_stop_does_not_wait_for_ever_for_a_reader_that_is_slow() -> None:
    async with running(EditedEngine(unchanged)) as server:
        peer = await Peer.connect(server.port, receive_buffer=8 * KIB)
        peer.stop_reading()
        peer.send(LONG_REQUEST)
        await (await server.begin_to_stop(drain_timeout=SHORT))
        peer.close()


async def test_a_stop_answers_a_request_that_is_half_sent() -> None:
    async with running(EditedEngine(unchanged)) as server:
        peer = await Peer.connect(server.port)
        head, _, body = post("Expect: 100-continue").partition(b"\r\n\r\n")
        peer.send(head + b"\r\n\r\n")
        await peer.read_until(b"100 Continue\r\n\r\n")
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        peer.send(body)
        answer = read_answers(await peer.read_all())[-1]
        assert answer.status == 404  # no mock says Hello
        assert answer.headers["connection"] == "close"
        await stop
        peer.close()


# --- Endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.RESET])
async def test_a_stream_may_end_badly(ending: Ending, caplog: pytest.LogCaptureFixture) -> None:
    async with running(EditedEngine(ended(ending, after=5))) as server:
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(await server.stream())
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


# --- A bug of ours --------------------------------------------------------------------------------


async def test_a_bug_is_a_500_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    async with running(BrokenEngine(load(Config.from_dict(CONFIG)))) as server:
        with pytest.raises(openai_sdk.InternalServerError) as info:
            await server.client.chat.completions.create(**chat_request("hi"))
        assert info.value.request_id
        assert "The mock server failed to answer: ZeroDivisionError" in str(info.value)
        assert "never shown" not in str(info.value.body)
        with pytest.raises(openai_sdk.NotFoundError):
            await server.client.responses.create(model="m", input="hi")
    (record,) = [each for each in caplog.records if each.name == "mockllm"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "POST /v1/chat/completions" in record.getMessage()


async def test_a_bug_leaves_the_connection_open() -> None:
    async with running(BrokenEngine(load(Config.from_dict(CONFIG)))) as server:
        peer = await Peer.connect(server.port)
        peer.send(post() + get("Connection: close"))
        answers = read_answers(await peer.read_all())
        assert [answer.status for answer in answers] == [500, 200]
        peer.close()


# --- Observers ------------------------------------------------------------------------------------


async def test_observers_get_every_exchange() -> None:
    seen: list[Exchange] = []
    async with running(EditedEngine(unchanged), (seen.append,)) as server:
        await server.client.chat.completions.create(**chat_request("hi"))
        await text_of(await server.stream())
        with pytest.raises(openai_sdk.NotFoundError):
            await server.client.chat.completions.create(**chat_request("ho"))
    paths = {exchange.request.path for exchange in seen}
    assert paths == {"/v1/chat/completions"}
    assert [each.decision.reason for each in seen] == ["matched", "matched", "no match"]
    assert [each.decision.reply.status for each in seen] == [200, 200, 404]
    assert all(exchange.seconds >= 0 for exchange in seen)
