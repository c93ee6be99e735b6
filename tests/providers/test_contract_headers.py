"""The contract for headers: credentials, versions, request ids, fresh ids."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.bodies import error_type
from tests.support.contract import BARE_ASKED, CHAT, MESSAGES, RESPONSES, TEXT_ASKED
from tests.support.served import (
    MODEL,
    chat_mock,
    chat_request,
    chat_saying,
    embeddings_request,
    messages_request,
    responses_request,
)

pytestmark = pytest.mark.anyio


# --- Credentials ----------------------------------------------------------------------------------


async def test_openai_without_credentials_is_401(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.AuthenticationError, match="didn't provide an API key") as info:
        await openai.chat.completions.create(
            **chat_request(TEXT_ASKED), extra_headers={"Authorization": openai_sdk.omit}
        )
    assert info.value.request_id


@pytest.mark.parametrize("value", ["Basic sk-secret", "Bearer", "sk-secret"])
async def test_openai_requires_a_bearer_token(openai: AsyncOpenAI, value: str) -> None:
    with pytest.raises(openai_sdk.AuthenticationError) as info:
        await openai.responses.create(
            **responses_request(TEXT_ASKED), extra_headers={"Authorization": value}
        )
    assert "sk-secret" not in str(info.value.body)


async def test_anthropic_accepts_a_bearer_token_alone(anthropic: AsyncAnthropic) -> None:
    raw = await anthropic.messages.with_raw_response.create(**messages_request(TEXT_ASKED))
    sent = raw.http_request.headers
    assert sent["authorization"].startswith("Bearer ")
    assert "x-api-key" not in sent
    assert (await raw.parse()).to_dict() == MESSAGES[TEXT_ASKED]


async def test_anthropic_takes_api_key_alone(anthropic: AsyncAnthropic) -> None:
    message = await anthropic.messages.create(
        **messages_request(TEXT_ASKED),
        extra_headers={"Authorization": anthropic_sdk.omit, "x-api-key": "k"},
    )
    assert message.to_dict() == MESSAGES[TEXT_ASKED]


async def test_anthropic_without_credentials_is_401(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(anthropic_sdk.AuthenticationError, match="x-api-key") as info:
        await anthropic.messages.create(
            **messages_request(TEXT_ASKED), extra_headers={"Authorization": anthropic_sdk.omit}
        )
    assert error_type(info.value) == "authentication_error"
    assert info.value.request_id


async def test_no_credentials_are_required_without_authentication() -> None:
    mock = chat_mock(TEXT_ASKED, CHAT[TEXT_ASKED])
    async with (
        AsyncServer({"require_auth": False, "openai": [mock]}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client,
    ):
        completion = await client.chat.completions.create(
            **chat_request(TEXT_ASKED), extra_headers={"Authorization": openai_sdk.omit}
        )
    assert completion.id == CHAT[TEXT_ASKED]["id"]


# --- Versions and betas ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "2099-12-31"])
async def test_any_anthropic_version_is_accepted(anthropic: AsyncAnthropic, version: str) -> None:
    message = await anthropic.messages.create(
        **messages_request(TEXT_ASKED), extra_headers={"anthropic-version": version}
    )
    assert message.id == MESSAGES[TEXT_ASKED]["id"]


async def test_no_anthropic_version_is_400(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(anthropic_sdk.BadRequestError, match="anthropic-version") as info:
        await anthropic.messages.create(
            **messages_request(TEXT_ASKED),
            extra_headers={"anthropic-version": anthropic_sdk.omit},
        )
    assert error_type(info.value) == "invalid_request_error"


async def test_unknown_betas_and_a_query_are_ignored(anthropic: AsyncAnthropic) -> None:
    message = await anthropic.beta.messages.create(
        **messages_request(TEXT_ASKED),
        betas=["unknown-2099-12-31", "another"],
        extra_query={"beta": "true"},
    )
    assert message.id == MESSAGES[TEXT_ASKED]["id"]


# --- Headers of an answer -------------------------------------------------------------------------


def assert_common(headers: Mapping[str, str], before: float) -> None:
    sent = parsedate_to_datetime(headers["date"])
    assert sent.tzinfo is UTC
    assert int(before) <= sent.timestamp() <= time.time()


async def test_openai_headers_of_a_whole_answer(openai: AsyncOpenAI) -> None:
    before = time.time()
    raw = await openai.chat.completions.with_raw_response.create(**chat_request(TEXT_ASKED))
    assert_common(raw.headers, before)
    assert raw.headers["content-type"] == "application/json"
    assert int(raw.headers["content-length"]) == len(raw.content)
    assert raw.headers["x-request-id"].startswith("req_")


async def test_anthropic_headers_of_a_whole_answer(anthropic: AsyncAnthropic) -> None:
    before = time.time()
    raw = await anthropic.messages.with_raw_response.create(**messages_request(TEXT_ASKED))
    assert_common(raw.headers, before)
    assert raw.headers["content-type"] == "application/json"
    assert int(raw.headers["content-length"]) == len(await raw.read())
    assert raw.headers["request-id"].startswith("req_")


def assert_stream(headers: Mapping[str, str]) -> None:
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["transfer-encoding"] == "chunked"


async def test_chat_headers_of_a_stream(openai: AsyncOpenAI) -> None:
    raw = openai.chat.completions.with_streaming_response
    async with raw.create(**chat_request(TEXT_ASKED), stream=True) as response:
        assert_stream(response.headers)
        assert response.request_id


async def test_responses_headers_of_a_stream(openai: AsyncOpenAI) -> None:
    raw = openai.responses.with_streaming_response
    async with raw.create(**responses_request(TEXT_ASKED), stream=True) as response:
        assert_stream(response.headers)
        assert response.request_id


async def test_anthropic_headers_of_a_stream(anthropic: AsyncAnthropic) -> None:
    raw = anthropic.messages.with_streaming_response
    async with raw.create(**messages_request(TEXT_ASKED), stream=True) as response:
        assert_stream(response.headers)
        assert response.request_id


# --- Ids, times and models ------------------------------------------------------------------------


async def test_each_answer_has_its_own_request_id(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    answers: list[Any] = []
    for _ in range(2):
        answers += [
            await openai.chat.completions.create(**chat_request(TEXT_ASKED)),
            await openai.responses.create(**responses_request(TEXT_ASKED)),
            await openai.embeddings.create(
                **embeddings_request(TEXT_ASKED, encoding_format="float")
            ),
            await anthropic.messages.create(**messages_request(TEXT_ASKED)),
        ]
    ids = {answer._request_id for answer in answers}
    assert len(ids) == len(answers)
    assert all(isinstance(name, str) and name.startswith("req_") for name in ids)


async def test_a_chat_without_an_id_gets_a_fresh_one_and_the_time(openai: AsyncOpenAI) -> None:
    before = int(time.time())
    one, other = [
        await openai.chat.completions.create(**chat_request(BARE_ASKED)) for _ in range(2)
    ]
    stream = await openai.chat.completions.create(**chat_request(BARE_ASKED), stream=True)
    chunks = [chunk async for chunk in stream]
    assert len({one.id, other.id, chunks[0].id}) == 3
    assert all(name.startswith("chatcmpl-") for name in (one.id, other.id, chunks[0].id))
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert all(before <= created <= time.time() for created in (one.created, chunks[0].created))


async def test_a_response_without_an_id_gets_a_fresh_one_and_the_time(openai: AsyncOpenAI) -> None:
    before = int(time.time())
    one, other = [await openai.responses.create(**responses_request(BARE_ASKED)) for _ in range(2)]
    async with openai.responses.stream(**responses_request(BARE_ASKED)) as stream:
        streamed = await stream.get_final_response()
    answers = (one, other, streamed)
    assert len({answer.id for answer in answers}) == 3
    assert all(answer.id.startswith("resp_") for answer in answers)
    assert len({answer.output[0].id for answer in answers}) == 3
    assert all((answer.output[0].id or "").startswith("msg_") for answer in answers)
    assert all(before <= answer.created_at <= time.time() for answer in answers)


async def test_a_message_without_an_id_gets_a_fresh_one(anthropic: AsyncAnthropic) -> None:
    one, other = [await anthropic.messages.create(**messages_request(BARE_ASKED)) for _ in range(2)]
    async with anthropic.messages.stream(**messages_request(BARE_ASKED)) as stream:
        streamed = await stream.get_final_message()
    assert len({one.id, other.id, streamed.id}) == 3
    assert all(answer.id.startswith("msg_") for answer in (one, other, streamed))


async def test_the_configured_id_is_kept(openai: AsyncOpenAI) -> None:
    answers = [await openai.responses.create(**responses_request(TEXT_ASKED)) for _ in range(2)]
    assert {answer.id for answer in answers} == {RESPONSES[TEXT_ASKED]["id"]}


@pytest.mark.parametrize("model", ["gpt-x", 'a "quoted" môdel \\ü/', "org/model:tag"])
async def test_the_model_of_the_request_is_echoed(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic, model: str
) -> None:
    chat = {**chat_request(BARE_ASKED), "model": model}
    responses = {**responses_request(BARE_ASKED), "model": model}
    messages = {**messages_request(BARE_ASKED), "model": model}
    whole: list[Any] = [
        await openai.chat.completions.create(**chat),
        await openai.responses.create(**responses),
        await anthropic.messages.create(**messages),
    ]
    chunks = [
        chunk.model async for chunk in await openai.chat.completions.create(**chat, stream=True)
    ]
    async with openai.responses.stream(**responses) as response_stream:
        response = await response_stream.get_final_response()
    async with anthropic.messages.stream(**messages) as message_stream:
        message = await message_stream.get_final_message()
    assert {answer.model for answer in whole} == {model}
    assert {*chunks, response.model, message.model} == {model}


async def test_the_configured_model_wins(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    assert CHAT[TEXT_ASKED]["model"] != MODEL
    completion = await openai.chat.completions.create(**chat_request(TEXT_ASKED))
    response = await openai.responses.create(**responses_request(TEXT_ASKED))
    message = await anthropic.messages.create(**messages_request(TEXT_ASKED))
    assert completion.model == CHAT[TEXT_ASKED]["model"]
    assert response.model == RESPONSES[TEXT_ASKED]["model"]
    assert message.model == MESSAGES[TEXT_ASKED]["model"]


async def test_usage_is_estimated_from_the_request(openai: AsyncOpenAI) -> None:
    mock = chat_mock("long", chat_saying("Terse."), match_type="contains")
    async with (
        AsyncServer({"openai": [mock]}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client,
    ):
        short, long = [
            await client.chat.completions.create(**chat_request("long " * times))
            for times in (1, 100)
        ]
    assert short.usage is not None
    assert long.usage is not None
    assert long.usage.prompt_tokens > short.usage.prompt_tokens
    assert long.usage.completion_tokens == short.usage.completion_tokens
