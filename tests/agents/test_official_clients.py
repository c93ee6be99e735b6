"""The loop with the official clients, written by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from mockllm import Server
from tests.agents.weather import ANSWER, QUESTION, SCHEMA, Station

MAX_STEPS = 4
FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_chat(server: Server, station: Station, streamed: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    request: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": messages,
        "tools": [{"type": "function", "function": FUNCTION}],
    }
    with OpenAI(base_url=server.openai_base_url, api_key="any") as client:
        for _ in range(MAX_STEPS):
            if streamed:
                with client.chat.completions.stream(**request) as stream:
                    message: Any = stream.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(**request).choices[0].message
            if not message.tool_calls:
                break
            messages.append(message.to_dict())
            for call in message.tool_calls:
                result = station.get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    assert message.content == ANSWER


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("chained", [False, True], ids=["all", "chained"])
def test_responses(server: Server, station: Station, streamed: bool, chained: bool) -> None:
    """`chained` sends only what is new, with the id of the response before."""
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    request: dict[str, Any] = {"model": "gpt-4o", "tools": [{"type": "function", **FUNCTION}]}
    with OpenAI(base_url=server.openai_base_url, api_key="any") as client:
        for _ in range(MAX_STEPS):
            if streamed:
                with client.responses.stream(input=items, **request) as stream:
                    response: Any = stream.get_final_response()
            else:
                response = client.responses.create(input=items, **request)
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                break
            if chained:
                request["previous_response_id"] = response.id
                items = []
            else:
                items += [item.to_dict() for item in response.output]
            for call in calls:
                result = station.get_weather(**json.loads(call.arguments))
                output = {"type": "function_call_output", "call_id": call.call_id, "output": result}
                items.append(output)

    assert response.output_text == ANSWER


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_messages(server: Server, station: Station, streamed: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    request: dict[str, Any] = {
        "model": "claude-sonnet-5",
        "max_tokens": 1024,
        "messages": messages,
        "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
    }
    with Anthropic(base_url=server.anthropic_base_url, api_key="any") as client:
        for _ in range(MAX_STEPS):
            if streamed:
                with client.messages.stream(**request) as stream:
                    message: Any = stream.get_final_message()
            else:
                message = client.messages.create(**request)
            if message.stop_reason != "tool_use":
                break
            messages.append({"role": "assistant", "content": message.content})
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": block.id,
                    "content": station.get_weather(**block.input),
                }
                for block in message.content
                if block.type == "tool_use"
            ]
            messages.append({"role": "user", "content": results})

    assert [block.text for block in message.content] == [ANSWER]
