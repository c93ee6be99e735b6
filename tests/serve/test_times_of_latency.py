"""When the tokens of an answer come, for each word of a `latency` and for each preset: whole and
streamed, in three APIs, in time that passes by hand."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any, NamedTuple

import pytest

from mockllm import AsyncServer, Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.http1.framing import Frame
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told
from tests.support.http.peer import Peer
from tests.support.http_library import httpx
from tests.support.manual_time import Answer, ManualTime
from tests.support.served import (
    chat_request,
    http_request,
    messages_request,
    port_of,
    responses_request,
)

TEXT = "one two three four five six seven eight nine ten"
APIS = {
    "/v1/chat/completions": (KEY, chat_request),
    "/v1/responses": (KEY, responses_request),
    "/v1/messages": (ANTHROPIC, messages_request),
}
PROMPT = "word " * 100


class Times(NamedTuple):
    """When the first token is complete, the time of each further one, and what each token of the
    prompt adds; in seconds. `speed` is that of the server."""

    latency: Any
    first: float = 0.0
    further: float = 0.0
    per_token: float = 0.0
    speed: float = 1.0


ROWS: dict[str, Times] = {
    "ttft": Times({"ttft": "1s"}, 1.0),
    "a number of seconds": Times({"ttft": 1.5}, 1.5),
    "itl": Times({"ttft": "1s", "itl": "10ms"}, 1.0, 0.01),
    "itl alone": Times({"itl": "10ms"}, 0.0, 0.01),
    "tps": Times({"ttft": "1s", "tps": 50}, 1.0, 0.02),
    "ttft_per_token": Times({"ttft": "1s", "ttft_per_token": "1ms"}, 1.0, 0.0, 0.001),
    "cached": Times({"ttft": "1s", "ttft_per_token": "1ms", "cached": 1}, 1.0),
    "jitter of nothing": Times({"ttft": "1s", "itl": "10ms", "jitter": 0}, 1.0, 0.01),
    "a pool with room": Times(
        {"ttft": "1s", "itl": "10ms", "pool": "p", "concurrency": 2, "slowdown": 4}, 1.0, 0.01
    ),
    "a pool of one, which nothing slows down": Times(
        {"ttft": "1s", "itl": "10ms", "concurrency": 1, "slowdown": 4}, 1.0, 0.01
    ),
    "a queue, a full and shared": Times(
        {"ttft": "1s", "concurrency": 1, "queue": 2, "full": "rate_limit", "shared": False}, 1.0
    ),
    "speed": Times({"ttft": "1s", "itl": "10ms"}, 0.1, 0.001, speed=10),
    "speed of a prompt": Times({"ttft_per_token": "1ms"}, 0.0, 0.0, 0.0005, speed=2),
    # presets
    "vllm-8b": Times({"preset": "vllm-8b", "jitter": 0}, 0.06, 0.012),
    "vllm-70b": Times("vllm-70b", 0.008, 0.0186, 0.00008),
    "fast-350ms-100tps": Times({"preset": "fast-350ms-100tps", "jitter": 0}, 0.35, 0.01),
    "large-1100ms-45tps": Times({"preset": "large-1100ms-45tps", "jitter": 0}, 1.1, 1 / 45),
    "a preset with another ttft": Times({"preset": "vllm-70b", "ttft": "5s"}, 5.0, 0.0186, 0.00008),
    "a preset with another pace": Times({"preset": "vllm-70b", "tps": 10}, 0.008, 0.1, 0.00008),
}


def app(latency: Any) -> LoneApp:
    return LoneApp(Engine(load(Config.from_dict({"mocks": [{"reply": TEXT}], "latency": latency}))))


def played(row: Times, path: str, *, stream: bool) -> tuple[Answer, dict[str, Any]]:
    """An answer in the end, and the usage of the same answer."""
    one = app(row.latency)
    headers, request = APIS[path]
    usage = told(ask("POST", path, headers, request(PROMPT), engine=one))["usage"]
    reply = ask("POST", path, headers, request(PROMPT, stream=stream), engine=one).reply
    assert reply.pacing is not None
    time = ManualTime()
    frames = [Frame(0.0, step.data, None, step.tokens) for step in reply.steps]
    clock = time.clock(speed=row.speed)
    answer = Answer(time, clock, reply.pacing, frames, is_stream=stream)
    time.run()
    return answer, usage


@pytest.mark.parametrize("path", APIS)
@pytest.mark.parametrize("name", ROWS)
def test_tokens_come_when_the_words_say(name: str, path: str) -> None:
    row = ROWS[name]
    streamed, usage = played(row, path, stream=True)
    whole, _ = played(row, path, stream=False)

    of_prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    of_prompt += usage.get("cache_read_input_tokens", 0)  # which Messages counts apart
    tokens = usage.get("completion_tokens") or usage["output_tokens"]
    first = row.first + row.per_token * of_prompt
    assert of_prompt >= 100
    said = [at for at, data in streamed.peer.got if b"one" in data]
    assert said[0] == pytest.approx(first, abs=2e-6)
    last = first + (tokens - 1) * row.further
    assert streamed.peer.times[-1] == pytest.approx(last, abs=2e-6)
    assert whole.peer.times == [pytest.approx(last, abs=2e-6)]


@pytest.mark.parametrize("path", APIS)
@pytest.mark.parametrize("latency", ["instant", {"preset": "instant"}, {"ttft": 0}])
def test_instant_takes_no_time(path: str, latency: Any) -> None:
    headers, request = APIS[path]

    decision = ask("POST", path, headers, request(PROMPT), engine=app(latency))

    assert decision.reply.pacing is None
    assert decision.ready is not None


LONGEST = {"ttft": 10**9, "ttft_per_token": 10**9, "jitter": 10}
SLOWEST = {"itl": 10**9, "jitter": 10, "concurrency": 2, "slowdown": 1000}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "latency", [LONGEST, SLOWEST, LONGEST | SLOWEST, LONGEST | {"tps": 1e-6}], ids=repr
)
async def test_the_longest_times_are_waited_for(
    latency: Any, caplog: pytest.LogCaptureFixture
) -> None:
    headers, request = APIS["/v1/messages"]
    pause = {"pause": 10**9, "after": "first_token"}
    mocks = [{"match": {"user": "pause"}, "reply": TEXT, "fault": pause}, {"reply": TEXT}]
    config = {"mocks": mocks, "latency": latency}
    async with AsyncServer(config, speed=1e-6, drain_timeout=0.0) as server:
        peers = []
        for stream, user in product((True, False), ("hi", "pause")):
            peers.append(await Peer.connect(port_of(server.base_url)))
            peers[-1].send(http_request("/v1/messages", request(user, stream=stream), headers))
        async with httpx.AsyncClient(base_url=server.base_url) as http:
            for _ in range(3):
                assert (await http.get("/health")).status_code == 200

        assert not any(peer.ended.is_set() for peer in peers)
    for peer in peers:
        await peer.ended.wait()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.anyio
async def test_what_clients_are_told_to_wait_is_not_shortened() -> None:
    config = {"mocks": [{"error": {"as": "rate_limit", "retry_after": "7s"}}]}
    async with (
        AsyncServer(config, speed=1000) as server,
        httpx.AsyncClient(base_url=server.base_url) as http,
    ):
        for path, (headers, request) in APIS.items():
            answer = await http.post(path, json=request("hi"), headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize("path", APIS)
def test_an_error_in_a_stream_comes_with_the_words_before_it(path: str) -> None:
    headers, request = APIS[path]
    fault = {"error": "overloaded", "after": {"tokens": 3}}
    config = {
        "mocks": [{"reply": TEXT, "fault": fault}],
        "latency": {"ttft": "1s", "itl": "10ms"},
    }
    one = LoneApp(Engine(load(Config.from_dict(config))))

    reply = ask("POST", path, headers, request("hi", stream=True), engine=one).reply
    whole = ask("POST", path, headers, request("hi"), engine=one).reply

    assert reply.pacing is not None
    time = ManualTime()
    frames = [Frame(0.0, step.data, None, step.tokens) for step in reply.steps]
    answer = Answer(time, time.clock(), reply.pacing, frames, ending=reply.ending)
    time.run()
    (failed, *_) = [at for at, data in answer.peer.got if b"overloaded" in data.lower()]
    assert failed == pytest.approx(1.02, abs=0.011)
    assert failed == max(answer.peer.times)
    assert (whole.status >= 500, whole.pacing) == (True, None)  # an error that is not late


def test_when_86_answers_join_one_its_tokens_slow_down_at_once() -> None:
    one = app("vllm-70b")
    headers, request = APIS["/v1/messages"]
    reply = ask("POST", "/v1/messages", headers, request("hi", stream=True), engine=one).reply
    assert reply.pacing is not None
    time = ManualTime()
    clock = time.clock()
    pacing = reply.pacing._replace(ttft=0.1)

    def begin(tokens: int) -> Answer:
        return Answer(time, clock, pacing, [Frame(0.0, b"x", None, 1)] * tokens)

    alone = begin(1000)
    time.run(1.0)
    others = [begin(1000) for _ in range(86)]  # of which one waits
    time.run(3.0)
    for other in others:
        other.player.abandon()
    time.run(4.0)

    def gaps(start: float, end: float) -> set[float]:
        times = [at for at in alone.peer.times if start < at < end]
        return {round(second - first, 4) for first, second in pairwise(times)}

    assert not others[-1].peer.got
    assert gaps(0.0, 1.0) == {0.0186}
    assert gaps(1.02, 3.0) == {0.093}
    assert gaps(3.1, 4.0) == {0.0186}
