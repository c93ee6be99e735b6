"""Metrics of the command: one scrape of any worker tells what all have counted."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.http.messages import get
from tests.support.metrics import Scraped
from tests.support.processes import ask, connected, posix, running, until, write
from tests.support.served import chat_request, http_request

pytestmark = pytest.mark.anyio

CONFIG: dict[str, Any] = {
    "traffic": [{"match": {"user": "limited"}, "rate_limit": {"concurrent": 1}}],
    "mocks": [
        {"name": "greet", "match": {"user": "hi"}, "reply": "Hello"},
        {"name": "held", "match": {"user": "held"}, "reply": "ok", "latency": {"ttft": "1h"}},
        {
            "name": "queued",
            "match": {"user": "queued"},
            "reply": "ok",
            "latency": {"ttft": "1h", "pool": "one", "concurrency": 1},
        },
        {
            "name": "paced",
            "match": {"user": "paced"},
            "reply": "one two three",
            "latency": {"ttft": "1ms", "itl": "1ms"},
        },
        {
            "name": "cut",
            "match": {"user": "cut"},
            "reply": "one two three",
            "fault": {"end": "cut", "after": "first_token"},
        },
    ],
}
CHAT = "/v1/chat/completions"


def chat(text: str, *, stream: bool = False) -> bytes:
    return http_request(CHAT, chat_request(text, stream=stream))


async def scrape(port: int) -> Scraped:
    return Scraped((await ask(port, get(target="/metrics"))).body.decode())


async def reads(port: int, expected: float, name: str, **labels: str) -> None:
    """Wait until a metric has this value: a worker counts when it notices that a client is gone."""
    async with asyncio.timeout(20):
        while (await scrape(port)).value(name, **labels) != expected:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.01)


@posix
async def test_the_sum_of_all_workers_outlives_one_that_is_killed(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", CONFIG)
    with running("--metrics", "vllm", "--workers=2", "--port=0", file) as command:
        port = command.port
        for _ in range(20):
            assert (await ask(port, chat("hi"))).status == 200
        async with connected(port) as held:
            held.writer.write(chat("held", stream=True))
            await reads(port, 1, "mockllm_open_streams")
            scraped = await scrape(port)
            assert scraped.value("mockllm_requests_total", mock="greet", status="200") == 20
            assert scraped.value("mockllm_processes") == 2
            assert scraped.value("vllm:num_requests_running") == 1

            for worker in command.workers():
                os.kill(worker, signal.SIGKILL)
            command.told("replacing it", times=2)
            await until(lambda: len(command.workers()) == 2)
            await reads(port, 2, "mockllm_processes")

        scraped = await scrape(port)
        assert scraped.value("mockllm_requests_total", mock="greet", status="200") == 20
        assert scraped.value("mockllm_open_streams") == 0
        for _ in range(5):
            assert (await ask(port, chat("hi"))).status == 200
        scraped = await scrape(port)
        assert scraped.value("mockllm_requests_total", mock="greet") == 25
        assert scraped.value("vllm:generation_tokens_total") == 25 * 2


@posix
async def test_workers_are_replaced_one_after_the_other_however_often(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", CONFIG)
    with running("--metrics", "--workers=2", "--port=0", file) as command:
        assert (await ask(command.port, chat("hi"))).status == 200
        async with connected(command.port) as held:  # its worker stays until it is cut
            held.writer.write(chat("held", stream=True))
            await reads(command.port, 1, "mockllm_open_streams")
            for times in range(1, 4):
                old = set(command.workers())
                command.signal(signal.SIGHUP)
                command.told("mockllm: reloaded", times=times)
                await until(lambda old=old: len(set(command.workers()) - old) == 2)  # type: ignore[misc]  # a default binds it
            scraped = await scrape(command.port)
            assert scraped.value("mockllm_requests_total", mock="greet") == 1
            assert scraped.value("mockllm_open_streams") == 1


async def test_answers_that_take_time_are_measured(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", CONFIG)
    with running("--metrics", "--port=0", file) as command:
        port = command.port
        async with connected(port) as client:
            await client.begin(chat("paced", stream=True))
            await client.reader.readuntil(b"[DONE]\n\n")
        async with connected(port) as client:
            client.writer.write(chat("cut", stream=True))
            assert b"one" in await client.reader.read()
        async with connected(port) as one, connected(port) as other:
            one.writer.write(chat("queued", stream=True))
            await reads(port, 1, "mockllm_running_answers")
            other.writer.write(chat("queued"))
            await reads(port, 1, "mockllm_waiting_answers")
        await reads(port, 2, "mockllm_client_disconnects_total", api="chat")
        scraped = await scrape(port)

    assert scraped.value("mockllm_faults_total", kind="cut") == 1
    assert scraped.value("mockllm_requests_total", mock="cut", status="200") == 1
    assert scraped.value("mockllm_requests_total", mock="queued", status="200") == 2
    assert scraped.value("mockllm_time_to_first_token_seconds_count") == 2
    assert scraped.value("mockllm_step_lateness_seconds_count") > 0
    assert scraped.value("mockllm_running_answers") == 0
    assert scraped.value("mockllm_waiting_answers") == 0
