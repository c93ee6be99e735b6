"""The contract for errors: each SDK raises its own exception, with the reason in its text, and the
id of the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.bodies import error_type
from tests.support.contract import TEXT_ASKED
from tests.support.http_library import httpx
from tests.support.served import (
    ANTHROPIC_HEADERS,
    Json,
    chat_request,
    embeddings_request,
    messages_request,
    responses_request,
)

pytestmark = pytest.mark.anyio


# --- No mock matches ------------------------------------------------------------------------------


def assert_names_the_nearest(error: Exception, mock: str) -> None:
    """The text of a 404 to `Say hallo` quotes the request and names the nearest mock."""
    text = str(error)
    assert "No matching mock found" in text
    assert "'Say hallo'" in text
    assert mock in text


async def test_a_chat_404_quotes_the_request_and_the_nearest_mock(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError) as info:
        await openai.chat.completions.create(**chat_request("Say hallo"))
    assert_names_the_nearest(info.value, "openai[0] 'Say hello': text differs at character 5")
    assert info.value.code == "mock_not_found"
    assert info.value.request_id


async def test_a_responses_404_quotes_the_request_and_the_nearest_mock(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError) as info:
        await openai.responses.create(**responses_request("Say hallo"))
    nearest = "openai_response[0] 'Say hello': text differs at character 5"
    assert_names_the_nearest(info.value, nearest)
    assert info.value.request_id


async def test_a_messages_404_quotes_the_request_and_the_nearest_mock(
    anthropic: AsyncAnthropic,
) -> None:
    with pytest.raises(anthropic_sdk.NotFoundError) as info:
        await anthropic.messages.create(**messages_request("Say hallo"))
    assert_names_the_nearest(info.value, "anthropic[0] 'Say hello': text differs at character 5")
    assert error_type(info.value) == "not_found_error"
    assert info.value.request_id


async def test_an_embeddings_404_quotes_the_request_and_the_nearest_mock(
    openai: AsyncOpenAI,
) -> None:
    with pytest.raises(openai_sdk.NotFoundError) as info:
        await openai.embeddings.create(**embeddings_request("Say hallo"))
    assert_names_the_nearest(info.value, "openai_embeddings[0] 'Say hello'")


async def test_a_stream_without_a_match_is_refused_before_it_begins(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="No matching mock found"):
        await openai.chat.completions.create(**chat_request("Say hallo"), stream=True)
    with pytest.raises(openai_sdk.NotFoundError, match="No matching mock found"):
        await openai.responses.create(**responses_request("Say hallo"), stream=True)
    with pytest.raises(anthropic_sdk.NotFoundError, match="No matching mock found"):
        await anthropic.messages.create(**messages_request("Say hallo"), stream=True)


async def test_a_long_question_is_cut(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError) as info:
        await openai.chat.completions.create(**chat_request("a" * 500 + "b" * 500))
    assert "a" * 500 in str(info.value)
    assert "b" not in str(info.value).partition("Closest mock")[0].partition("user ")[2]


async def test_a_404_names_the_role_that_differs() -> None:
    mock = {"match": {"message": {"role": "tool", "content": "42"}}, "response": {}}
    async with (
        AsyncServer({"openai": [mock]}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client,
    ):
        with pytest.raises(openai_sdk.NotFoundError, match="role is 'user', expected 'tool'"):
            await client.chat.completions.create(**chat_request("42"))


async def test_a_404_names_the_header_that_differs(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError) as info:
        await openai.chat.completions.create(
            **chat_request("Who am I?"), extra_headers={"x-tenant-id": "z"}
        )
    assert "header X-Tenant-ID is 'z', expected 'a'" in str(info.value)
    with pytest.raises(openai_sdk.NotFoundError, match="X-Tenant-ID is missing, expected 'a'"):
        await openai.chat.completions.create(**chat_request("Who am I?"))


async def test_a_404_of_an_api_without_mocks_names_its_key() -> None:
    async with AsyncServer({}) as server:
        async with AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client:
            with pytest.raises(openai_sdk.NotFoundError, match="Chat Completions under 'openai'"):
                await client.chat.completions.create(**chat_request("hi"))
        async with AsyncAnthropic(base_url=server.anthropic_base_url, api_key="any") as client:
            with pytest.raises(anthropic_sdk.NotFoundError, match="Messages under 'anthropic'"):
                await client.messages.create(**messages_request("hi"))


async def test_a_refusal_is_not_retried(server: AsyncServer) -> None:
    attempts = 0

    async def count(request: httpx.Request) -> None:
        nonlocal attempts
        attempts += 1

    async with (
        httpx.AsyncClient(event_hooks={"request": [count]}) as http,
        AsyncOpenAI(
            base_url=server.openai_base_url, api_key="any", max_retries=2, http_client=http
        ) as client,
    ):
        with pytest.raises(openai_sdk.NotFoundError):
            await client.chat.completions.create(**chat_request("Say hallo"))
        with pytest.raises(openai_sdk.BadRequestError):
            await client.chat.completions.create(**chat_request("Say hello", n=0))
    assert attempts == 2


# --- Wrong method, wrong path ---------------------------------------------------------------------


async def test_wrong_method_is_405(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    for path in ("/chat/completions", "/responses", "/embeddings"):
        with pytest.raises(openai_sdk.APIStatusError, match=f"GET on /v1{path}") as openai_info:
            await openai.get(path, cast_to=object)
        assert openai_info.value.status_code == 405
        assert openai_info.value.response.headers["allow"] == "POST"
        assert openai_info.value.request_id
    with pytest.raises(anthropic_sdk.APIStatusError, match="GET on /v1/messages") as info:
        await anthropic.get("/v1/messages", cast_to=object)
    assert info.value.status_code == 405
    assert info.value.response.headers["allow"] == "POST"
    assert info.value.request_id


async def test_unknown_path_is_404(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="POST /v1/nothing") as openai_info:
        await openai.post("/nothing", body={}, cast_to=object)
    assert openai_info.value.request_id
    with pytest.raises(anthropic_sdk.NotFoundError, match="POST /v1/nothing") as info:
        await anthropic.post("/v1/nothing", body={}, cast_to=object)
    assert error_type(info.value) == "not_found_error"
    assert info.value.request_id


@pytest.fixture(scope="module")
async def http(server: AsyncServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


def without_ids(body: Any) -> Any:
    """The body of an error with a hint, without the hint and the request id."""
    assert "/v1/chat/completions" in body.pop("hint")
    body.pop("request_id", None)
    return body


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/nothing", "/v2/messages"])
async def test_unknown_path_outside_v1_is_plain(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 404
    assert without_ids(answer.json()) == {
        "error": "Endpoint not found",
        "path": path,
        "method": method,
    }


async def test_unknown_path_under_v1_is_in_the_envelope_of_its_vendor(
    http: httpx.AsyncClient,
) -> None:
    openai = await http.get("/v1/nothing")
    anthropic = await http.get("/v1/nothing", headers=ANTHROPIC_HEADERS)
    beside = {"path": "/v1/nothing", "method": "GET"}
    message = "Invalid URL (GET /v1/nothing)"
    error: Json = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    assert (openai.status_code, anthropic.status_code) == (404, 404)
    assert without_ids(openai.json()) == {"error": error, **beside}
    assert without_ids(anthropic.json()) == {
        "type": "error",
        "error": {"type": "not_found_error", "message": message},
        **beside,
    }


async def test_health_counts_the_mocks(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told.pop("reuse")) == {"hits", "misses"}
    assert told == {
        "status": "healthy",
        "service": "mock-llm",
        "openai": 7,
        "openai_response": 7,
        "anthropic": 7,
        "openai_embeddings": 3,
    }


async def test_health_requires_get(http: httpx.AsyncClient) -> None:
    answer = await http.post("/health")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "POST" in answer.json()["error"]


async def test_head_has_no_body(http: httpx.AsyncClient) -> None:
    healthy, unknown = await http.head("/health"), await http.head("/nothing")
    assert (healthy.status_code, unknown.status_code) == (200, 404)
    assert int(healthy.headers["content-length"]) > 0
    # The connection is still usable: the next answer belongs to the next request.
    again = await http.get("/health")
    assert again.json()["status"] == "healthy"


async def test_a_401_does_not_quote_the_request(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", json=chat_request(TEXT_ASKED))
    assert answer.status_code == 401
    assert TEXT_ASKED not in answer.text
