"""The loop with LiteLLM, which has clients of its own."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from mockllm import Server
from mockllm.limits import MAX_SPEED
from tests.agents.weather import ANSWER, QUESTION, SCHEMA, Station

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one when it is imported
litellm: Any = pytest.importorskip("litellm")

pytestmark = pytest.mark.filterwarnings("default")

MAX_STEPS = 4
FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}


def _openai(server: Server) -> dict[str, str]:
    return {"model": "openai/gpt-4o", "api_base": server.openai_base_url}


def _anthropic(server: Server) -> dict[str, str]:
    return {"model": "anthropic/claude-sonnet-5", "api_base": server.anthropic_base_url}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("service", [_openai, _anthropic])
def test_the_loop(server: Server, station: Station, service: Any, streamed: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    request = {
        **service(server),
        "api_key": "any",
        "num_retries": 2,
        "tools": [{"type": "function", "function": FUNCTION}],
        "stream": streamed,
    }
    for _ in range(MAX_STEPS):
        answer = litellm.completion(messages=messages, **request)
        if streamed:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message.model_dump())
        for call in message.tool_calls:
            result = station.get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    assert message.content == ANSWER


@pytest.mark.parametrize("service", [_openai, _anthropic])
def test_the_router_waits_for_a_rate_limit(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    config = {"mocks": [{"reply": ANSWER}], "traffic": [{"rate_limit": {"rpm": 1}}]}
    waits: list[float] = []
    with Server(config) as server:

        def sleep(seconds: float) -> None:
            """Let the time of the server pass instead."""
            waits.append(seconds)
            server.speed = MAX_SPEED
            server.speed = 1.0

        monkeypatch.setattr(time, "sleep", sleep)
        params = {**service(server), "api_key": "any"}
        models = [{"model_name": "weather", "litellm_params": params}]
        router = litellm.Router(model_list=models, num_retries=2)
        for _ in range(2):
            answer = router.completion(
                model="weather", messages=[{"role": "user", "content": QUESTION}]
            )

        assert answer.choices[0].message.content == ANSWER
        assert [call.status for call in server.calls] == [200, 429, 200]
        assert len(waits) == 1
        assert waits[0] >= 59  # retry-after, and a little more
    headers = answer._hidden_params["additional_headers"]
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
