"""The contract for matching: headers, contains, turns of agents, files in the form of the seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.contract import TEXT_ASKED, VECTORS
from tests.support.http_library import httpx
from tests.support.served import (
    API_KEY,
    Json,
    chat_request,
    embeddings_request,
    events,
    messages_request,
    responses_request,
)

pytestmark = pytest.mark.anyio

HAYSTACK = "a haystack with a needle in it"


# --- Headers and contains -------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "answer"), [("a", "tenant a"), ("cbd", "some b")])
async def test_headers_choose_among_mocks_of_the_same_text(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic, value: str, answer: str
) -> None:
    headers = {"x-tenant-id": value}
    asked = "Who am I?"
    completion = await openai.chat.completions.create(**chat_request(asked), extra_headers=headers)
    response = await openai.responses.create(**responses_request(asked), extra_headers=headers)
    message = await anthropic.messages.create(**messages_request(asked), extra_headers=headers)
    assert completion.choices[0].message.content == answer
    assert response.output_text == answer
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": answer}]


async def test_headers_choose_an_embedding(openai: AsyncOpenAI) -> None:
    request = embeddings_request("Who am I?", encoding_format="float")
    answer = await openai.embeddings.create(**request, extra_headers={"X-TENANT-ID": "a"})
    assert answer.data[0].embedding == [1.0]
    with pytest.raises(openai_sdk.NotFoundError, match="X-Tenant-ID"):
        await openai.embeddings.create(**request)


async def test_contains_finds_a_text_in_the_last_message(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    completion = await openai.chat.completions.create(**chat_request(HAYSTACK))
    response = await openai.responses.create(**responses_request(HAYSTACK))
    message = await anthropic.messages.create(**messages_request(HAYSTACK))
    embedding = await openai.embeddings.create(
        **embeddings_request(HAYSTACK, encoding_format="float")
    )
    assert completion.choices[0].message.content == "found"
    assert response.output_text == "found"
    assert message.to_dict()["content"] == [{"type": "text", "text": "found"}]
    assert embedding.data[0].embedding == [2.0]


async def test_a_text_in_an_earlier_message_does_not_matter(openai: AsyncOpenAI) -> None:
    turns: list[Any] = [
        {"role": "user", "content": HAYSTACK},
        {"role": "assistant", "content": "found"},
        {"role": "user", "content": "thanks"},
    ]
    with pytest.raises(openai_sdk.NotFoundError, match="'thanks'"):
        await openai.chat.completions.create(model="m", messages=turns)
    with pytest.raises(openai_sdk.NotFoundError, match="'thanks'"):
        await openai.responses.create(model="m", input=turns)


async def test_parts_are_their_text(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    parts: list[Any] = [{"type": "text", "text": TEXT_ASKED}]
    turns: list[Any] = [{"role": "user", "content": parts}]
    items: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": TEXT_ASKED}]}]
    completion = await openai.chat.completions.create(model="m", messages=turns)
    response = await openai.responses.create(model="m", input=items)
    message = await anthropic.messages.create(model="m", max_tokens=9, messages=turns)
    embedding = await openai.embeddings.create(
        model="m", input=[TEXT_ASKED], encoding_format="float"
    )
    assert completion.choices[0].finish_reason == "stop"
    assert response.id.startswith("resp_67")
    assert message.stop_reason == "end_turn"
    assert embedding.data[0].embedding == VECTORS[0]


# --- Agents ---------------------------------------------------------------------------------------


async def test_a_request_of_claude_code_is_matched(anthropic: AsyncAnthropic) -> None:
    """Version 2.1: the prompt in the user's last part, a system note behind it."""
    reminder = "<system-reminder>\nAs you answer, use this context.\n</system-reminder>"
    cached = {"cache_control": {"type": "ephemeral"}}
    request: Json = {
        "model": "claude-opus-5",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": reminder},
                    {"type": "text", "text": HAYSTACK, **cached},
                ],
            },
            {
                "role": "system",
                "content": [{"type": "text", "text": "Answer in few words."}],
                "output_config": {"effort": "high"},
            },
        ],
        "system": [
            {"type": "text", "text": "x-billing: cli"},
            {"type": "text", "text": "You are an agent.", **cached},
            {"type": "text", "text": "Environment: a terminal.", **cached},
        ],
        "tools": [
            {
                "name": f"Tool{number}",
                "description": "Does something. " * 200,
                "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"path": {"type": "string"}},
                    "additionalProperties": False,
                },
                "eager_input_streaming": True,
            }
            for number in range(25)
        ],
        "metadata": {"user_id": "{}"},
        "max_tokens": 64000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "stream": True,
    }
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,unknown-thing-2026-01-01",
        "anthropic-dangerous-direct-browser-access": "true",
        "x-app": "cli",
        "x-claude-code-session-id": "6f1c",
    }
    answer = await anthropic.post(
        "/v1/messages?beta=true",
        body=request,
        options={"headers": headers},
        cast_to=httpx.Response,
    )
    found = events(answer.content)
    assert found[0]["type"] == "message_start"
    assert {"type": "text_delta", "text": "found"} in [event.get("delta") for event in found]
    assert found[-1] == {"type": "message_stop"}


async def test_a_request_of_codex_is_matched(openai: AsyncOpenAI) -> None:
    """Version 0.169: developer notes, the environment and the prompt as items with ids."""

    def item(number: int, role: str, text: str) -> Json:
        content = [{"type": "input_text", "text": text}]
        return {"type": "message", "id": f"msg_{number}", "role": role, "content": content}

    function = {
        "type": "function",
        "name": "shell",
        "description": "Runs a command.",
        "strict": False,
        "parameters": {"type": "object", "properties": {}},
    }
    request: Json = {
        "model": "gpt-5-codex",
        "instructions": "You are a coding agent. " * 500,
        "input": [
            item(1, "developer", "Permissions: read only."),
            item(2, "developer", "Skills: none."),
            item(3, "user", "<environment_context><cwd>/</cwd></environment_context>"),
            item(4, "user", HAYSTACK),
        ],
        "tools": [
            function,
            {"type": "namespace", "name": "mcp", "description": "More.", "tools": [function]},
            {"type": "web_search", "external_web_access": False},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto", "context": None},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "77"},
    }
    headers = {
        "accept": "text/event-stream",
        "originator": "codex_exec",
        "session-id": "019a",
        "x-codex-beta-features": "unknown",
    }
    answer = await openai.post(
        "/responses", body=request, options={"headers": headers}, cast_to=httpx.Response
    )
    found = events(answer.content)
    assert found[0]["type"] == "response.created"
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "found"


# --- Files in the format of the seed --------------------------------------------------------------

SEED: Json = {
    "listen_addr": "127.0.0.1:0",
    "openai": [
        {
            "name": "initial_request",
            "match": {
                "match_type": "exact",
                "message": {"content": "add 2 and 40", "role": "user"},
            },
            "response": {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1677652288,
                "model": "gpt-4.1-mini",
                "choices": [
                    {
                        "index": 0,
                        "role": "assistant",
                        "message": {
                            "content": "",
                            "tool_calls": [
                                {
                                    "id": "call_1",
                                    "type": "function",
                                    "function": {
                                        "name": "add",
                                        "arguments": '{"a": 2, "b": 40}',
                                    },
                                }
                            ],
                        },
                        "finish_reason": "tool_calls",
                    }
                ],
            },
        },
        {
            "name": "add_response",
            "match": {
                "match_type": "contains",
                "message": {"content": "42", "role": "tool", "tool_call_id": "call_1"},
            },
            "response": {
                "id": "call_1",
                "object": "chat.completion.tool_message",
                "created": 1677652288,
                "model": "gpt-4.1-mini",
                "choices": [{"index": 0, "message": {"content": "It is 42.", "role": "assistant"}}],
            },
        },
    ],
    "openai_response": [
        {
            "name": "haiku",
            "match": {"match_type": "exact", "input": "Write a haiku"},
            "response": {
                "id": "resp_123",
                "object": "response",
                "created_at": 1741476542,
                "status": "completed",
                "error": {},
                "output": [
                    {
                        "type": "message",
                        "id": "msg_123",
                        "status": "completed",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "Old pond", "annotations": []}],
                    }
                ],
            },
        }
    ],
    "anthropic": [
        {
            "name": "greeting",
            "match": {
                "match_type": "contains",
                "message": {"role": "user", "content": [{"type": "text", "text": "how are you"}]},
                "headers": [
                    {"name": "X-Tenant-ID", "value": "acme", "match_type": "exact"},
                ],
            },
            "response": {
                "id": "msg_1234",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "Very well."}],
                "model": "claude-3-5-sonnet-20241022",
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 10, "output_tokens": 25},
            },
        }
    ],
    "openai_embeddings": [
        {
            "name": "embedding",
            "match": {"match_type": "exact", "input": "dark mode"},
            "response": {
                "object": "list",
                "data": [{"object": "embedding", "embedding": [0.25, -0.5]}],
                "model": "text-embedding-3-small",
            },
        }
    ],
}
"""As real users of the seed write it: `role` beside the message, no `finish_reason`, an `object` of
its own, a `tool_call_id` in the match."""


async def test_a_file_in_the_original_format_is_served(tmp_path: Path) -> None:
    file = tmp_path / "mocks.json"
    file.write_text(json.dumps(SEED))
    async with (
        AsyncServer(file) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as openai,
        AsyncAnthropic(base_url=server.anthropic_base_url, api_key=API_KEY) as anthropic,
    ):
        turns: list[Any] = [{"role": "user", "content": "add 2 and 40"}]
        first = (await openai.chat.completions.create(model="m", messages=turns)).choices[0]
        assert first.finish_reason == "tool_calls"
        assert first.message.role == "assistant"
        assert first.message.tool_calls is not None
        (call,) = first.message.tool_calls
        assert call.type == "function"
        assert json.loads(call.function.arguments) == {"a": 2, "b": 40}

        turns += [
            first.message,
            {"role": "tool", "tool_call_id": call.id, "content": "the result is 42"},
        ]
        second = await openai.chat.completions.create(model="m", messages=turns)
        assert second.to_dict()["object"] == "chat.completion.tool_message"  # as written
        assert second.choices[0].finish_reason == "stop"
        assert second.choices[0].message.content == "It is 42."
        async with openai.chat.completions.stream(model="m", messages=turns) as stream:
            streamed = await stream.get_final_completion()
        assert streamed.choices[0].message.content == "It is 42."

        response = await openai.responses.create(model="m", input="Write a haiku")
        assert response.output_text == "Old pond"
        assert response.error is None

        message = await anthropic.messages.create(
            **messages_request("Hello, how are you?"), extra_headers={"X-Tenant-ID": "acme"}
        )
        assert message.to_dict()["content"] == [{"type": "text", "text": "Very well."}]

        embedding = await openai.embeddings.create(model="m", input="dark mode")
        assert embedding.data[0].embedding == [0.25, -0.5]
