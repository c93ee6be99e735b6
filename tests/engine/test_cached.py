"""The share of a prompt that is cached: in the time to the first token, and in the usage of every
API."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.wire import jsontext, tokens
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told
from tests.support.goldens import FRESH, delivered
from tests.support.served import chat_request, events, messages_request, responses_request

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
PATHS: dict[str, Any] = {
    CHAT: (KEY, chat_request),
    RESPONSES: (KEY, responses_request),
    MESSAGES: (ANTHROPIC, messages_request),
}
LATENCY = {"ttft": 1, "ttft_per_token": "1ms", "cached": 0.75}
LONG = "word " * 400


def app(latency: Any = LATENCY, *, client_faults: bool = False, **config: Any) -> LoneApp:
    written = {"latency": latency} | ({"mocks": [{"reply": "one two"}]} | config)
    return LoneApp(Engine(load(Config.from_dict(written)), client_faults=client_faults))


def asked(
    one: LoneApp, path: str = CHAT, headers: dict[str, str] | None = None, **members: Any
) -> Decision:
    known, request = PATHS[path]
    return ask("POST", path, known | (headers or {}), request(LONG, **members), engine=one)


def counted(found: Decision, path: str) -> tuple[int, int]:
    """The tokens of the whole prompt, and the cached ones, in the usage of an answer."""
    if found.reply.streamed:
        said = [each for each in events(delivered(found.reply)) if "usage" in str(each)]
        usage = {
            CHAT: lambda: said[-1]["usage"],
            RESPONSES: lambda: said[-1]["response"]["usage"],
            MESSAGES: lambda: said[0]["message"]["usage"],
        }[path]()
    else:
        usage = told(found)["usage"]
    if path == MESSAGES:
        cached = usage["cache_read_input_tokens"]
        return usage["input_tokens"] + cached, cached
    name = "prompt_tokens" if path == CHAT else "input_tokens"
    output = usage["completion_tokens" if path == CHAT else "output_tokens"]
    assert usage["total_tokens"] == usage[name] + output
    return usage[name], usage[f"{name}_details"]["cached_tokens"]


def ttft(found: Decision) -> float:
    assert found.reply.pacing is not None
    return found.reply.pacing.ttft


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_usage_and_time_agree_on_what_is_cached(path: str, stream: bool) -> None:
    one = app()
    options: dict[str, Any] = (
        {"stream_options": {"include_usage": True}} if stream and path == CHAT else {}
    )
    _, request = PATHS[path]
    whole = tokens.estimate_prompt(request(LONG))

    for _ in range(3):  # the third is from the cache
        found = asked(one, path, stream=stream, **options)

        assert counted(found, path) == (whole, int(whole * 0.75))
        assert ttft(found) == pytest.approx(1 + 0.001 * (whole - int(whole * 0.75)))
    cache = one.engine.match_cache
    assert cache is not None
    assert cache.hits == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("share", "cached"), [(0, 0), (0.5, 500), (0.3333, 333), (1, 1000)])
def test_a_written_count_is_that_of_the_whole_prompt(path: str, share: float, cached: int) -> None:
    reply = {"text": "one two", "usage": {"input": 1000}}
    found = asked(app(LATENCY | {"cached": share}, mocks=[{"reply": reply}]), path)

    assert counted(found, path) == (1000, cached)
    assert ttft(found) == pytest.approx(1 + 0.001 * (1000 - cached))


@pytest.mark.parametrize("path", PATHS)
def test_what_the_author_says_is_cached_comes_before(path: str) -> None:
    reply = {"text": "one two", "usage": {"input": 1000, "cached": 10}}
    found = asked(app(mocks=[{"reply": reply}]), path)

    assert counted(found, path) == (1000, 10)
    assert ttft(found) == pytest.approx(1 + 0.001 * 990)


def test_the_usage_of_a_response_is_sent_as_written() -> None:
    written = {"input_tokens": 100, "output_tokens": 5}
    response = {"content": [{"type": "text", "text": "a"}], "usage": written}
    found = asked(app(anthropic=[{"response": response}]), MESSAGES)

    assert told(found)["usage"]["input_tokens"] == 100
    assert told(found)["usage"]["cache_read_input_tokens"] == 0
    assert ttft(found) == pytest.approx(1.1)


@pytest.mark.parametrize(
    "written",
    [
        {"total_tokens": 50},
        {"prompt_tokens": None},
        {"prompt_cache_hit_tokens": 5},
        {"prompt_tokens_details": None},
        {"prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 7}},
    ],
)
def test_a_usage_that_cannot_be_divided_is_sent_as_without_a_share(written: Any) -> None:
    response = {"choices": [{"message": {"content": "a"}}], "usage": written}
    mocks: dict[str, Any] = {"openai": [{"response": response}], "mocks": []}
    plain = {key: value for key, value in LATENCY.items() if key != "cached"}

    found, other = asked(app(**mocks)), asked(app(plain, **mocks))

    assert told(found)["usage"] == told(other)["usage"]
    assert ttft(found) == ttft(other)


def test_other_details_stay() -> None:
    usage = {"prompt_tokens": 100, "prompt_tokens_details": {"audio_tokens": 3}}
    response = {"choices": [{"message": {"content": "a"}}], "usage": usage}
    found = told(asked(app(openai=[{"response": response}])))["usage"]

    assert found["prompt_tokens_details"] == {"audio_tokens": 3, "cached_tokens": 75}
    assert found["total_tokens"] == found["completion_tokens"] + 100


@pytest.mark.parametrize(
    "reply", [{"template": "{{ user }}"}, {"generate": {"tokens": 9}}, {"json": {"a": 1}}]
)
def test_answers_that_are_made_count_it_too(reply: Any) -> None:
    found = asked(app(mocks=[{"reply": reply}]))
    whole, cached = counted(found, CHAT)

    assert cached == int(whole * 0.75) > 0


def test_the_share_of_traffic_and_of_a_client_is_in_the_usage_too() -> None:
    one = app("vllm-8b", traffic=[{"match": {"stream": False}, "latency": LATENCY}])
    wishing = app("vllm-8b", client_faults=True)

    found = asked(one)
    wished = asked(wishing, headers={"x-mockllm-latency": "ttft_per_token=1ms,cached=0.5"})

    whole, cached = counted(found, CHAT)
    assert cached == int(whole * 0.75)
    assert counted(wished, CHAT) == (whole, int(whole * 0.5))
    assert counted(asked(wishing), CHAT) == (whole, 0)


def test_a_stored_response_has_the_same_usage() -> None:
    one = app()
    body = jsontext.dumps(responses_request(LONG))
    lines = tuple((name.encode(), value.encode()) for name, value in KEY.items())
    request = Request.of("POST", RESPONSES, lines, body)
    decision = one.decide(request)
    one.responses.store(request, decision, FRESH)
    answer = told(decision)

    stored = told(ask("GET", f"{RESPONSES}/{answer['id']}", engine=one))

    assert stored["usage"] == answer["usage"]
    assert stored["usage"]["input_tokens_details"]["cached_tokens"] > 0


def test_legacy_completions_and_embeddings() -> None:
    one = app()
    completion = ask("POST", "/v1/completions", body={"model": "m", "prompt": LONG}, engine=one)
    usage = told(completion)["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert ttft(completion) == pytest.approx(1 + 0.001 * (usage["prompt_tokens"] - cached))

    embedding = ask("POST", "/v1/embeddings", body={"model": "m", "input": LONG}, engine=one)
    assert ttft(embedding) == pytest.approx(1 + 0.001 * told(embedding)["usage"]["prompt_tokens"])
