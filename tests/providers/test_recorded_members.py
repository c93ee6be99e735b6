"""The members of an answer to the smallest mock, held against recordings of the services from
September and October 2026 and against the Open Responses specification: names and order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from tests.support.contract import BARE_ASKED
from tests.support.goldens import delivered
from tests.support.served import Json, responses_request

pytestmark = pytest.mark.anyio

CHAT_USAGE: Json = {
    "prompt_tokens": None,
    "completion_tokens": None,
    "total_tokens": None,
    "prompt_tokens_details": {"cached_tokens": None, "audio_tokens": None},
    "completion_tokens_details": {
        "reasoning_tokens": None,
        "audio_tokens": None,
        "accepted_prediction_tokens": None,
        "rejected_prediction_tokens": None,
    },
}
CHAT_MESSAGE: Json = {"role": None, "content": None, "refusal": None, "annotations": []}
COMPLETION: Json = {
    "id": None,
    "object": None,
    "created": None,
    "model": None,
    "choices": [
        {"index": None, "message": CHAT_MESSAGE, "logprobs": None, "finish_reason": None},
    ],
    "usage": CHAT_USAGE,
    "service_tier": None,
    "system_fingerprint": None,
}
CHUNK: Json = {
    "id": None,
    "object": None,
    "created": None,
    "model": None,
    "service_tier": None,
    "system_fingerprint": None,
    "choices": [
        {
            "index": None,
            "delta": {"role": None, "content": None, "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    ],
    "usage": None,
    "obfuscation": None,
}

RESPONSE: Json = {
    "id": None,
    "object": None,
    "created_at": None,
    "status": None,
    "access_programs": None,
    "background": None,
    "completed_at": None,
    "error": None,
    "frequency_penalty": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "model": None,
    "moderation": None,
    "output": [
        {
            "id": None,
            "type": None,
            "status": None,
            "content": [{"type": None, "annotations": [], "logprobs": [], "text": None}],
            "role": None,
        }
    ],
    "parallel_tool_calls": None,
    "presence_penalty": None,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"context": None, "effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": None,
    "store": None,
    "temperature": None,
    "text": {"format": {"type": None}, "verbosity": None},
    "tool_choice": None,
    "tool_usage": {
        "image_gen": {
            "input_tokens": None,
            "input_tokens_details": {"image_tokens": None, "text_tokens": None},
            "output_tokens": None,
            "output_tokens_details": {"image_tokens": None, "text_tokens": None},
            "total_tokens": None,
        },
        "web_search": {"num_requests": None},
    },
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": None,
    "usage": {
        "input_tokens": None,
        "input_tokens_details": {"cache_write_tokens": None, "cached_tokens": None},
        "output_tokens": None,
        "output_tokens_details": {"reasoning_tokens": None},
        "total_tokens": None,
    },
    "user": None,
    "metadata": {},
}

MESSAGES_USAGE: Json = {
    "input_tokens": None,
    "cache_creation_input_tokens": None,
    "cache_read_input_tokens": None,
    "cache_creation": {"ephemeral_5m_input_tokens": None, "ephemeral_1h_input_tokens": None},
    "output_tokens": None,
    "output_tokens_details": {"thinking_tokens": None},
    "service_tier": None,
    "inference_geo": None,
}
MESSAGE: Json = {
    "model": None,
    "id": None,
    "type": None,
    "role": None,
    "content": [{"type": None, "text": None}],
    "container": None,
    "stop_reason": None,
    "stop_sequence": None,
    "stop_details": None,
    "usage": MESSAGES_USAGE,
    "diagnostics": None,
}
MESSAGE_START: Json = MESSAGE | {
    "content": [],
    "usage": {name: MESSAGES_USAGE[name] for name in MESSAGES_USAGE if name[-7:] != "details"},
}
MESSAGE_DELTA: Json = {
    "type": None,
    "delta": {"stop_reason": None, "stop_sequence": None, "stop_details": None, "container": None},
    "usage": {
        "input_tokens": None,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens": None,
        "output_tokens_details": {"thinking_tokens": None},
    },
}

EMBEDDING: Json = {
    "object": None,
    "data": [{"object": None, "index": None, "embedding": []}],
    "model": None,
    "usage": {"prompt_tokens": None, "total_tokens": None},
}

REQUIRED_BY_OPEN_RESPONSES = (
    "id object created_at completed_at status incomplete_details model previous_response_id "
    "instructions output error tools tool_choice truncation parallel_tool_calls text top_p "
    "presence_penalty frequency_penalty top_logprobs temperature reasoning user usage "
    "max_output_tokens max_tool_calls store background service_tier metadata safety_identifier "
    "prompt_cache_key"
)


def shape(value: Any) -> Any:
    """`value` with each leaf replaced by null, and lists of numbers by empty ones."""
    match value:
        case dict():
            return {name: shape(member) for name, member in value.items()}
        case list():
            return [shape(entry) for entry in value if isinstance(entry, dict)]
        case _:
            return None


def whole(api: API) -> Json:
    """The answer to the smallest mock."""
    answer: Json = orjson.loads(
        delivered(api.render(api.text_response("Hi!"), ResponseOptions(), "word"))
    )
    return answer


def events(api: API) -> list[Json]:
    """The events of the same answer, streamed with usage."""
    options = ResponseOptions(stream=True, include_usage=True)
    text = delivered(api.render(api.text_response("Hi!"), options, "word"))
    lines = (line[6:] for line in text.split(b"\n") if line.startswith(b"data: "))
    return [orjson.loads(line) for line in lines if line != b"[DONE]"]


def assert_same(value: Any, expected: Any) -> None:
    """Compare names, depth and order of members."""
    assert orjson.dumps(shape(value)).decode() == orjson.dumps(expected).decode()


@pytest.mark.parametrize(
    ("api", "recorded"),
    [(CHAT, COMPLETION), (RESPONSES, RESPONSE), (MESSAGES, MESSAGE), (EMBEDDINGS, EMBEDDING)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_whole_answer_has_the_members_of_a_recorded_one(api: API, recorded: Json) -> None:
    assert_same(whole(api), recorded)


def test_chunks_have_the_members_of_recorded_ones() -> None:
    opening, text, finish, usage = events(CHAT)

    (choice,) = CHUNK["choices"]
    assert_same(opening, CHUNK)
    assert_same(text, CHUNK | {"choices": [choice | {"delta": {"content": None}}]})
    assert_same(finish, CHUNK | {"choices": [choice | {"delta": {}}]})
    assert_same(usage, CHUNK | {"choices": [], "usage": CHAT_USAGE})


def test_events_contain_the_response_with_the_members_of_a_recorded_one() -> None:
    responses = [event["response"] for event in events(RESPONSES) if "response" in event]

    unfinished = RESPONSE | {"output": [], "usage": None}
    for response, recorded in zip(responses, [unfinished, unfinished, RESPONSE], strict=True):
        assert_same(response, recorded)


def test_the_first_and_last_event_of_a_message_have_the_members_of_recorded_ones() -> None:
    first, *_, last, _stop = events(MESSAGES)

    assert_same(first["message"], MESSAGE_START)
    assert_same(last, MESSAGE_DELTA)


def test_a_tool_call_has_the_members_of_a_recorded_one() -> None:
    message = {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    chat = delivered(CHAT.render({"choices": [{"message": message}]}, ResponseOptions(), "word"))
    block = {"type": "tool_use", "name": "f", "input": {}}
    messages = delivered(MESSAGES.render({"content": [block]}, ResponseOptions(), "word"))

    call = {"id": None, "type": None, "function": {"name": None, "arguments": None}}
    assert_same(
        orjson.loads(chat)["choices"][0]["message"],
        {"role": None, "content": None, "tool_calls": [call], "refusal": None, "annotations": []},
    )
    (used,) = orjson.loads(messages)["content"]
    assert list(used) == ["type", "id", "name", "input", "caller"]


def test_every_response_has_what_open_responses_requires() -> None:
    responses = [event["response"] for event in events(RESPONSES) if "response" in event]

    for response in [whole(RESPONSES), *responses]:
        assert set(REQUIRED_BY_OPEN_RESPONSES.split()) <= response.keys()


TOOLS: list[Any] = [
    {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "c"},
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"},
]
MEMBERS: Json = {
    "tools": TOOLS,
    "tool_choice": {"type": "function", "name": "f"},
    "instructions": "Be brief.",
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1", "version": "2"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "service_tier": "flex",
    "metadata": {"run": "1"},
    "temperature": 1,
    "max_output_tokens": 100,
    "background": True,
}


async def test_a_strict_client_reads_what_a_response_repeats(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(**responses_request(BARE_ASKED) | MEMBERS)

    assert [tool.type for tool in response.tools] == [tool["type"] for tool in TOOLS]
    assert (response.instructions, response.temperature) == ("Be brief.", 1.0)
    assert response.conversation is not None
    assert response.conversation.id == "conv_1"
    assert response.metadata == {"run": "1"}
    again = await openai.responses.retrieve(response.id)
    assert again.to_dict() == response.to_dict()


async def test_a_strict_stream_reads_what_a_response_repeats(openai: AsyncOpenAI) -> None:
    members = MEMBERS | {"text": {"verbosity": "low"}}  # the helper parses an output with a schema
    async with openai.responses.stream(**responses_request(BARE_ASKED) | members) as stream:
        async for event in stream:
            if event.type in ("response.created", "response.in_progress"):
                assert event.response.instructions == "Be brief."
                assert len(event.response.tools) == len(TOOLS)
        final = await stream.get_final_response()

    assert final.text is not None
    assert final.text.verbosity == "low"
    assert (final.service_tier, final.max_output_tokens) == ("flex", 100)
