"""The contract: the official clients get what is configured, whole and streamed, sync and async.

The clients are strict, so each answer and each event of a stream is held against the SDK's type.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import struct
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Finding, Kind
from tests.support.contract import (
    BARE_ASKED,
    BARE_TOOL_ASKED,
    CHAT,
    MESSAGES,
    RESPONSES,
    TEXT_ASKED,
    TOOLS_ASKED,
    VECTORS,
)
from tests.support.served import (
    API_KEY,
    MODEL,
    Json,
    chat_request,
    embeddings_request,
    events,
    messages_request,
    responses_request,
)

pytestmark = pytest.mark.anyio

WITH_USAGE = {"stream_options": {"include_usage": True}}
ASKED = pytest.mark.parametrize("asked", [TEXT_ASKED, TOOLS_ASKED])
ALL_ASKED = pytest.mark.parametrize("asked", [TEXT_ASKED, TOOLS_ASKED, BARE_ASKED, BARE_TOOL_ASKED])

ADDED_BY_HELPERS = {"parsed", "parsed_arguments", "obfuscation"}  # of the chunks, in old SDKs
ON_THE_WIRE = {("obfuscation",), ("name",)}
"""Members of Responses events that the service sends and openai 3.54.0 does not declare: padding,
and the function's name in ``response.function_call_arguments.done``."""


def essence(value: Any) -> Any:
    """`value` without nulls and without what the SDKs' accumulating helpers add."""
    if isinstance(value, dict):
        return {
            name: essence(member)
            for name, member in value.items()
            if member is not None
            and name not in ADDED_BY_HELPERS
            and (name, member) != ("annotations", [])  # which the service does not stream
        }
    if isinstance(value, list):
        return [essence(entry) for entry in value]
    return value


def without_call_indexes(completion: Json) -> Json:
    """A completion without the place of each tool call, which the helper keeps from the stream."""
    for choice in completion["choices"]:
        for call in choice["message"].get("tool_calls", ()):
            call.pop("index")
    return completion


def disagreements(confirm: Callable[[Json], list[Finding]], found: list[Json]) -> list[Finding]:
    """Findings of the SDK's type in the events, except for members that only the service has, or
    that an old SDK does not declare."""
    return [
        finding
        for event in found
        for finding in confirm(event)
        if not (finding.kind is Kind.UNKNOWN and finding.path in ON_THE_WIRE)
        and finding.kind is not Kind.NEWER
    ]


# --- Chat Completions -----------------------------------------------------------------------------


@ASKED
async def test_chat_answers_as_configured(openai: AsyncOpenAI, asked: str) -> None:
    completion = await openai.chat.completions.create(**chat_request(asked))
    assert completion.to_dict() == CHAT[asked]


@ASKED
async def test_chat_answers_a_sync_client(sync_openai: OpenAI, asked: str) -> None:
    def ask() -> Json:
        return sync_openai.chat.completions.create(**chat_request(asked)).to_dict()

    assert await asyncio.to_thread(ask) == CHAT[asked]


@ASKED
async def test_chat_stream_helper_rebuilds_the_response(openai: AsyncOpenAI, asked: str) -> None:
    async with openai.chat.completions.stream(**chat_request(asked, **WITH_USAGE)) as stream:
        completion = await stream.get_final_completion()
    assert without_call_indexes(essence(completion.to_dict())) == essence(CHAT[asked])


@ASKED
async def test_chat_stream_helper_of_a_sync_client_rebuilds_the_response(
    sync_openai: OpenAI, asked: str
) -> None:
    def ask() -> Json:
        request = chat_request(asked, **WITH_USAGE)
        with sync_openai.chat.completions.stream(**request) as stream:
            return stream.get_final_completion().to_dict()

    completion = await asyncio.to_thread(ask)
    assert without_call_indexes(essence(completion)) == essence(CHAT[asked])


@pytest.mark.parametrize("options", [{}, WITH_USAGE])
@ALL_ASKED
async def test_chat_chunks_are_what_the_sdk_declares(
    openai: AsyncOpenAI, asked: str, options: Json
) -> None:
    request = chat_request(asked, **options)
    async for _ in await openai.chat.completions.create(**request, stream=True):
        pass  # a strict client raises for a chunk that does not fit
    raw = openai.chat.completions.with_streaming_response
    async with raw.create(**request, stream=True) as response:
        chunks = events(await response.read())
    assert disagreements(chat_sdk.confirm_event, chunks) == []


async def test_chat_streams_text_in_several_chunks(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(**chat_request(TEXT_ASKED), stream=True)
    deltas = [chunk.choices[0].delta.content async for chunk in stream]
    text = CHAT[TEXT_ASKED]["choices"][0]["message"]["content"]
    assert len([delta for delta in deltas if delta]) > 3
    assert "".join(filter(None, deltas)) == text


async def test_chat_streams_usage_on_request(openai: AsyncOpenAI) -> None:
    streams = [
        await openai.chat.completions.create(**chat_request(TEXT_ASKED, **options), stream=True)
        for options in ({}, WITH_USAGE)
    ]
    without, with_usage = [
        [chunk.usage.to_dict() async for chunk in stream if chunk.usage] for stream in streams
    ]
    assert without == []
    assert with_usage == [CHAT[TEXT_ASKED]["usage"]]


async def test_chat_fills_in_missing_members(openai: AsyncOpenAI) -> None:
    text = await openai.chat.completions.create(**chat_request(BARE_ASKED))
    tool = await openai.chat.completions.create(**chat_request(BARE_TOOL_ASKED))
    assert text.choices[0].finish_reason == "stop"
    assert tool.choices[0].finish_reason == "tool_calls"
    for completion in (text, tool):
        assert completion.object == "chat.completion"
        assert completion.model == MODEL
        assert completion.usage is not None
        assert completion.usage.prompt_tokens > 0
        assert completion.usage.completion_tokens > 0


# --- Responses ------------------------------------------------------------------------------------


@ASKED
async def test_responses_answers_as_configured(openai: AsyncOpenAI, asked: str) -> None:
    response = await openai.responses.create(**responses_request(asked))
    assert response.to_dict() == RESPONSES[asked]


@ASKED
async def test_responses_answers_a_sync_client(sync_openai: OpenAI, asked: str) -> None:
    def ask() -> Json:
        return sync_openai.responses.create(**responses_request(asked)).to_dict()

    assert await asyncio.to_thread(ask) == RESPONSES[asked]


@ASKED
async def test_responses_stream_helper_rebuilds_the_response(
    openai: AsyncOpenAI, asked: str
) -> None:
    async with openai.responses.stream(**responses_request(asked)) as stream:
        response = await stream.get_final_response()
    assert essence(response.to_dict()) == essence(RESPONSES[asked])


@ASKED
async def test_responses_stream_helper_of_a_sync_client_rebuilds_the_response(
    sync_openai: OpenAI, asked: str
) -> None:
    def ask() -> Json:
        with sync_openai.responses.stream(**responses_request(asked)) as stream:
            return stream.get_final_response().to_dict()

    assert essence(await asyncio.to_thread(ask)) == essence(RESPONSES[asked])


@ALL_ASKED
async def test_responses_events_are_what_the_sdk_declares(openai: AsyncOpenAI, asked: str) -> None:
    request = responses_request(asked)
    async for _ in await openai.responses.create(**request, stream=True):
        pass  # a strict client raises for an event that does not fit
    async with openai.responses.with_streaming_response.create(**request, stream=True) as response:
        found = events(await response.read())
    assert disagreements(responses_sdk.confirm_event, found) == []
    assert [event["sequence_number"] for event in found] == list(range(len(found)))


async def test_responses_streams_text_in_several_deltas(openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(**responses_request(TEXT_ASKED), stream=True)
    deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == RESPONSES[TEXT_ASKED]["output"][0]["content"][0]["text"]


async def test_responses_fills_in_missing_members(openai: AsyncOpenAI) -> None:
    text = await openai.responses.create(**responses_request(BARE_ASKED))
    tool = await openai.responses.create(**responses_request(BARE_TOOL_ASKED))
    assert text.output_text == "Terse."
    assert tool.output[0].type == "function_call"
    for response in (text, tool):
        assert response.status == "completed"
        assert response.model == MODEL
        assert response.usage is not None
        assert response.usage.input_tokens > 0
        assert response.usage.output_tokens > 0


# --- Messages -------------------------------------------------------------------------------------


@ASKED
async def test_messages_answers_as_configured(anthropic: AsyncAnthropic, asked: str) -> None:
    message = await anthropic.messages.create(**messages_request(asked))
    assert message.to_dict() == MESSAGES[asked]


@ASKED
async def test_messages_answers_a_sync_client(sync_anthropic: Anthropic, asked: str) -> None:
    def ask() -> Json:
        return sync_anthropic.messages.create(**messages_request(asked)).to_dict()

    assert await asyncio.to_thread(ask) == MESSAGES[asked]


@ASKED
async def test_messages_stream_helper_rebuilds_the_response(
    anthropic: AsyncAnthropic, asked: str
) -> None:
    async with anthropic.messages.stream(**messages_request(asked)) as stream:
        message = await stream.get_final_message()
    assert essence(message.to_dict()) == essence(MESSAGES[asked])


@ASKED
async def test_messages_stream_helper_of_a_sync_client_rebuilds_the_response(
    sync_anthropic: Anthropic, asked: str
) -> None:
    def ask() -> Json:
        with sync_anthropic.messages.stream(**messages_request(asked)) as stream:
            return stream.get_final_message().to_dict()

    assert essence(await asyncio.to_thread(ask)) == essence(MESSAGES[asked])


@ASKED
async def test_messages_stream_helper_of_the_beta_client_rebuilds_the_response(
    anthropic: AsyncAnthropic, asked: str
) -> None:
    async with anthropic.beta.messages.stream(**messages_request(asked)) as stream:
        message = await stream.get_final_message()
    assert essence(message.to_dict()) == essence(MESSAGES[asked])


@ALL_ASKED
async def test_messages_events_are_what_the_sdk_declares(
    anthropic: AsyncAnthropic, asked: str
) -> None:
    request = messages_request(asked)
    async for _ in await anthropic.messages.create(**request, stream=True):
        pass  # a strict client raises for an event that does not fit
    async with anthropic.messages.with_streaming_response.create(
        **request, stream=True
    ) as response:
        found = events(await response.read())
    told = [event for event in found if event != {"type": "ping"}]  # the SDK skips pings itself
    assert len(told) == len(found) - 1
    assert disagreements(messages_sdk.confirm_event, told) == []


async def test_messages_streams_text_in_several_deltas(anthropic: AsyncAnthropic) -> None:
    async with anthropic.messages.stream(**messages_request(TEXT_ASKED)) as stream:
        deltas = [text async for text in stream.text_stream]
    assert len(deltas) > 3
    assert "".join(deltas) == MESSAGES[TEXT_ASKED]["content"][0]["text"]


async def test_messages_fills_in_missing_members(anthropic: AsyncAnthropic) -> None:
    text = await anthropic.messages.create(**messages_request(BARE_ASKED))
    tool = await anthropic.messages.create(**messages_request(BARE_TOOL_ASKED))
    assert text.stop_reason == "end_turn"
    assert tool.stop_reason == "tool_use"
    for message in (text, tool):
        assert message.role == "assistant"
        assert message.model == MODEL
        assert message.usage.input_tokens > 0
        assert message.usage.output_tokens > 0


# --- Embeddings -----------------------------------------------------------------------------------


async def test_embeddings_answers_with_numbers(openai: AsyncOpenAI) -> None:
    answer = await openai.embeddings.create(
        **embeddings_request(TEXT_ASKED, encoding_format="float")
    )
    assert [entry.embedding for entry in answer.data] == VECTORS
    assert [entry.index for entry in answer.data] == [0, 1]
    assert answer.model == MODEL
    assert answer.usage.total_tokens > 0


async def test_embeddings_answers_with_base64_on_request(openai: AsyncOpenAI) -> None:
    raw = openai.embeddings.with_streaming_response
    request = embeddings_request(TEXT_ASKED, encoding_format="base64")
    async with raw.create(**request) as response:
        answer: Any = await response.json()
    packed = [base64.b64decode(entry["embedding"]) for entry in answer["data"]]
    assert [list(struct.unpack("<3f", each)) for each in packed] == VECTORS


async def test_embeddings_client_decodes_base64_by_default(server: AsyncServer) -> None:
    # Not strict: a strict client refuses the base64 that it asks for unless told otherwise.
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client:
        answer = await client.embeddings.create(**embeddings_request(TEXT_ASKED))
    assert [entry.embedding for entry in answer.data] == VECTORS


# --- Clients that hang up -------------------------------------------------------------------------


async def test_a_client_that_disconnects_at_done_is_not_logged(
    sync_openai: OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    def ask() -> int:
        chat = sync_openai.chat.completions
        request = chat_request(TEXT_ASKED)
        return sum(1 for _ in range(100) for _ in chat.create(**request, stream=True))

    with caplog.at_level(logging.INFO):
        chunks = await asyncio.to_thread(ask)
    assert chunks % 100 == 0
    assert chunks > 300
    assert [record for record in caplog.records if record.name in ("mockllm", "asyncio")] == []
