"""The loop with LiteLLM, which has clients of its own."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from mockllm import Server
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
