"""Rate limits of servers: what clients see, and what happens to a place when a delivery ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anyio.lowlevel import checkpoint
from openai import OpenAI

from mockllm import AsyncServer, Config, Mock, RateLimit, Server, Traffic
from mockllm.engine.building import build_engine
from mockllm.engine.decision import End, Exchange, Outcome
from mockllm.engine.limiting import Limiter
from mockllm.state.rate_limits import Limit
from tests.serve.test_paced_answers import LATENCY, STREAM, WHOLE, Paced, answers_of
from tests.support.apps import LoneApp
from tests.support.http.answers import read_answers
from tests.support.http.messages import MESSAGES, asking, post
from tests.support.http.peer import Peer
from tests.support.listening import running
from tests.support.manual_time import ManualTime
from tests.support.served import PATIENCE, nothing_left_behind, port_of

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "Hello"}]
TEXT = "one two three four five six seven eight"
CLAUDE = post(
    "anthropic-version: 2023-06-01",
    "x-api-key: any",
    target=MESSAGES,
    body=asking(stream=True, max_tokens=100),
)


def limit(**words: Any) -> dict[str, Any]:
    return {"rate_limit": words}


_TIMES: list[ManualTime] = []


@asynccontextmanager
async def limited(*traffic: Any, mocks: Any = None, latency: Any = LATENCY) -> AsyncIterator[Paced]:
    """A server with limits, in time that passes by hand."""
    time, seen = ManualTime(), list[Exchange]()
    _TIMES.append(time)
    config = {"mocks": mocks or [{"reply": TEXT}], "traffic": traffic}
    if latency:
        config["latency"] = latency
    app = LoneApp(build_engine(config), limiter=Limiter(now=lambda: time.now))
    async with running(app, (seen.append,), time.clock()) as server:
        yield Paced(server, time, seen)
        assert len(app.own_store.leases) == 0


def leases(one: Paced) -> int:
    return len(one.service.app.own_store.leases)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await checkpoint()


# --- clients --------------------------------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What clients sleep before they try again: the time of `limited` passes instead."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        _TIMES[-1].now += seconds

    monkeypatch.setattr("anyio.sleep", sleep)
    return slept


async def test_the_client_of_openai_waits_as_it_is_told(waits: list[float]) -> None:
    async with limited(limit(rpm=3), latency=None) as one:
        async with one.server.client.with_options(max_retries=2) as client:
            for _ in range(3):
                await client.chat.completions.create(model="m", messages=HELLO)
            stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
            assert [chunk async for chunk in stream]
            await client.responses.create(model="m", input="Hello")

        assert waits == [20.0, 20.0]
        assert [exchange.decision.reply.status for exchange in one.seen] == [
            *(200, 200, 200),
            *(429, 200),
            *(429, 200),
        ]


async def test_the_client_of_anthropic_waits_as_it_is_told(waits: list[float]) -> None:
    async with limited(limit(rpm=3), latency=None) as one:
        url = f"http://127.0.0.1:{one.server.port}"
        async with AsyncAnthropic(base_url=url, api_key="a") as client:
            for _ in range(4):
                async with client.messages.stream(
                    model="m", max_tokens=9, messages=HELLO
                ) as events:
                    assert await events.get_final_text() == TEXT

        assert waits == [20.0]
        assert [exchange.decision.reply.status for exchange in one.seen] == [
            *(200, 200, 200),
            *(429, 200),
        ]


async def test_retries_that_come_too_early_are_refused_again(waits: list[float]) -> None:
    mocks = [{"sequence": ["one", "two"]}]
    async with limited(limit(rpm=1), latency=None, mocks=mocks) as one:
        async with one.server.client.with_options(max_retries=2) as client:
            await client.responses.create(model="m", input="Hello")
            one.time.now = -1e9  # no time passes for the bucket
            with pytest.raises(openai.RateLimitError):
                await client.responses.create(model="m", input="Hello")
            one.time.now = 1e9
            answer = await client.responses.create(model="m", input="Hello")

        assert answer.output_text == "two"
        assert len(waits) == 2
        assert [exchange.decision.reply.status for exchange in one.seen] == [200, *[429] * 3, 200]


def test_an_error_beyond_a_limit_is_the_clients_own() -> None:
    config = {"mocks": [{"reply": TEXT}], "traffic": [limit(rpm=1, otpm=50)]}
    with Server(config) as server:
        client = OpenAI(base_url=server.openai_base_url, api_key="a", max_retries=0)
        claude = Anthropic(base_url=server.anthropic_base_url, api_key="a", max_retries=0)
        with client, claude:
            answer = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
            assert answer.headers["x-ratelimit-reset-requests"] == "1m0s"
            with pytest.raises(openai.RateLimitError, match="Please try again in") as limited:
                client.chat.completions.create(model="m", messages=HELLO)
            assert limited.value.type == "requests"
            assert limited.value.code == "rate_limit_exceeded"
            with pytest.raises(anthropic.RateLimitError, match="50 output tokens") as refused:
                claude.messages.create(model="n", max_tokens=51, messages=HELLO)
            assert refused.value.response.headers["anthropic-ratelimit-requests-remaining"] == "1"


# --- places ---------------------------------------------------------------------------------------


async def test_a_place_is_free_when_the_answer_was_sent_or_its_client_has_left() -> None:
    async with limited(limit(concurrent=2)) as one:
        first, second = await one.ask(STREAM), await one.ask(STREAM)
        (refused,) = await answers_of(await one.ask(STREAM))
        assert refused.status == 429

        second.reset()
        await until(lambda: leases(one) == 1)
        third = await one.ask(STREAM)
        one.time.run()
        await answers_of(first)
        await answers_of(third)
        assert leases(one) == 0

        ends = [exchange.delivery.end for exchange in one.seen]
        assert ends == [End.COMPLETE, End.CLIENT_GONE, End.COMPLETE, End.COMPLETE]
        assert one.seen[0].decision.match.outcome is Outcome.LIMITED
        for peer in (first, third):
            peer.reset()


async def test_a_client_that_leaves_in_the_queue_gives_its_place_back() -> None:
    slow = {**LATENCY, "concurrency": 1, "queue": 5}
    async with limited(limit(concurrent=2), latency=slow) as one:
        first, second = await one.ask(STREAM), await one.ask(STREAM)
        assert one.entered == 2

        second.reset()
        await until(lambda: leases(one) == 1)
        first.reset()
        await until(lambda: leases(one) == 0)


async def test_a_request_that_its_pool_refuses_gives_its_place_back() -> None:
    slow = {**LATENCY, "concurrency": 1, "queue": 0}
    async with limited(limit(concurrent=2), latency=slow) as one:
        first = await one.ask(STREAM)
        (refused,) = await answers_of(await one.ask(STREAM))

        assert refused.status == 503
        assert leases(one) == 1
        first.reset()
        await until(lambda: leases(one) == 0)


async def test_pipelined_requests_have_a_place_one_after_the_other() -> None:
    async with limited(limit(concurrent=1, rpm=3), latency=None) as one:
        peer = await Peer.connect(one.server.port)
        peer.send(STREAM + WHOLE + WHOLE + STREAM + WHOLE)

        answers = await answers_of(peer, 5)

        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        remaining = [answer.headers.get("x-ratelimit-remaining-requests") for answer in answers]
        assert remaining == ["2", "1", "0", None, None]
        peer.reset()


async def test_pipelined_paced_requests_take_turns_in_one_place() -> None:
    async with limited(limit(concurrent=1)) as one:
        peer = await one.ask(STREAM, WHOLE)
        for place in (1, 2):
            await one.left(1)
            assert leases(one) == 1
            one.time.run(one.time.now + 1.1)
            answers = await answers_of(peer, place)

        assert [answer.status for answer in answers] == [200, 200]
        peer.reset()


async def test_a_stop_lets_an_answer_end_with_its_place() -> None:
    async with limited(limit(concurrent=1)) as one:
        peer = await one.ask(STREAM)
        stop = await one.server.begin_to_stop(PATIENCE)
        assert leases(one) == 1
        one.time.run()
        await stop

        (answer,) = read_answers(bytes(peer.received))
        assert answer.status == 200
        assert leases(one) == 0


async def test_a_stop_that_cuts_an_answer_gives_its_place_back() -> None:
    async with limited(limit(concurrent=1)) as one:
        await one.ask(STREAM)
        await (await one.server.begin_to_stop(0.0))

        assert leases(one) == 0


async def test_old_clients_see_headers_and_give_their_places_back() -> None:
    async with limited(limit(concurrent=1, rpm=9), latency=None) as one:
        for request in (
            post(version="1.0"),
            post(body=asking(stream=True), version="1.0"),
            post("Connection: close"),
        ):
            peer = await Peer.connect(one.server.port)
            peer.send(request)
            data = await peer.read_all()

            assert b"HTTP/1." in data[:7]
            assert b"x-ratelimit-limit-requests: 9\r\n" in data
            assert leases(one) == 0


@pytest.mark.parametrize("end", ["cut", "reset", "clean"])
async def test_a_fault_that_ends_an_answer_gives_its_place_back(end: str) -> None:
    mocks = [{"reply": TEXT, "fault": {"end": end, "after": "first_token"}}]
    async with limited(limit(concurrent=1), mocks=mocks, latency=None) as one:
        for _ in range(2):
            peer = await Peer.connect(one.server.port)
            peer.send(STREAM)
            await peer.read_until(b"one")
            await until(lambda: leases(one) == 0)
            peer.reset()


@asynccontextmanager
async def served(config: Any) -> AsyncIterator[AsyncServer]:
    with nothing_left_behind():
        async with asyncio.timeout(PATIENCE), AsyncServer(config) as server:
            yield server


async def connect(server: AsyncServer) -> Peer:
    return await Peer.connect(port_of(server.base_url))


def places(server: AsyncServer) -> int:
    listening = server._listening
    assert listening is not None
    return len(listening.app.own_store.leases)


async def test_a_client_that_leaves_at_a_gate_gives_its_place_back() -> None:
    mocks = [{"reply": TEXT, "fault": {"hold": "gate"}}]
    async with served({"mocks": mocks, "traffic": [limit(concurrent=1)]}) as server:
        first = await connect(server)
        first.send(STREAM)
        await server.gate("gate").reached()
        second = await connect(server)
        second.send(STREAM)
        (refused,) = await answers_of(second)
        assert refused.status == 429

        first.reset()
        await until(lambda: not places(server))
        second.send(STREAM)
        await server.gate("gate").reached()
        server.gate("gate").open()
        answers = await answers_of(second, 2)
        assert answers[1].status == 200
        second.reset()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_while_a_function_answers_gives_its_place_back(
    streams: bool,
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def reply(prompt: Any) -> str:
        begun.set()
        await may_end.wait()
        return TEXT

    traffic = [Traffic(rate_limit=RateLimit(concurrent=1, otpm=100))]
    async with served(Config(mocks=[Mock(reply=reply)], traffic=traffic)) as server:
        peer = await connect(server)
        peer.send(CLAUDE)
        await begun.wait()
        assert places(server) == 1
        if not streams:
            peer.reset()
            await until(lambda: not places(server))
        may_end.set()
        other = peer if streams else await connect(server)
        if not streams:
            other.send(CLAUDE)
        (answer,) = await answers_of(other)
        assert answer.status == 200
        # nothing was produced for the client that had left
        assert answer.headers["anthropic-ratelimit-output-tokens-remaining"] == "0"
        assert places(server) == 0
        other.reset()


# --- settled at the end of a delivery -------------------------------------------------------------


def used(one: Paced) -> float:
    """What was charged of the only bucket, without what was refilled since the answer began."""
    app = one.service.app
    buckets = app.own_store._buckets._buckets
    (session,) = buckets.groups()
    ((_, (level, _)),) = buckets.items(session)
    return level + OTPM.refill(one.time.now % LONG)


OTPM = Limit(1000, 60.0)
LONG = 1000.0  # seconds until a bucket is full again


@pytest.mark.parametrize(
    ("tokens", "charged"), [(0, 0), (20, 20), (40, 40), (79, 80)], ids=lambda value: str(value)
)
async def test_output_counts_as_far_as_it_was_sent(tokens: int, charged: int) -> None:
    mocks = [{"reply": {"generate": {"tokens": 80}}}]
    latency = {"ttft": "10ms", "itl": "10ms"}
    async with limited(limit(otpm=OTPM.amount), mocks=mocks, latency=latency) as one:
        peer = await one.ask(CLAUDE)
        assert used(one) == 100
        one.time.run(tokens * 0.01 + 0.015 if tokens else 0.0)
        await checkpoint()
        peer.reset()
        await one.left()
        await until(lambda: len(one.seen) == 1)

        assert one.seen[0].delivery.end is (End.COMPLETE if tokens > 78 else End.CLIENT_GONE)
        assert used(one) == pytest.approx(charged, abs=4)
