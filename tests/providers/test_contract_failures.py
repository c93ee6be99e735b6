"""The contract for mocks with an `error`: each SDK raises its own exception with the message in it,
whole and streamed, and retries what it retries of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic as anthropic_sdk
import anyio.to_thread
import openai as openai_sdk
import orjson
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from mockllm.config.error import WORDS
from tests.support.http_library import httpx
from tests.support.served import (
    ANTHROPIC_HEADERS,
    OPENAI_HEADERS,
    chat_request,
    embeddings_request,
    messages_request,
    responses_request,
)

pytestmark = pytest.mark.anyio

STATUSES = {
    "bad_request": (400, 400),
    "context_length": (400, 400),
    "flagged": (400, 200),
    "bad_key": (401, 401),
    "billing": (429, 402),
    "permission": (403, 403),
    "not_found": (404, 404),
    "timeout": (408, 504),
    "conflict": (409, 409),
    "too_large": (413, 413),
    "unprocessable": (422, 422),
    "rate_limit": (429, 429),
    "slow_down": (429, 429),
    "server_error": (500, 500),
    "overloaded": (503, 529),
}
"""The statuses of OpenAI and Anthropic."""
EXCEPTIONS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    529: "OverloadedError",
}
RETRIED = [word for word in WORDS if STATUSES[word][0] in (408, 409, 429, 500, 503)]


def _mocks(text: str, error: Any) -> dict[str, Any]:
    message = {"match": {"message": {"role": "user", "content": text}}, "error": error}
    item = {"match": {"input": text}, "error": error}
    return {
        "openai": message,
        "openai_response": item,
        "anthropic": message,
        "openai_embeddings": item,
    }


def _config() -> dict[str, Any]:
    errors: list[tuple[str, Any]] = [(word, word) for word in WORDS]
    errors += [
        (f"said {word}", {"as": word, "message": f"Our {word}", "retry_after": "1ms"})
        for word in WORDS
    ]
    mocks = [_mocks(text, error) for text, error in errors]
    return {name: [mock[name] for mock in mocks] for name in mocks[0]}


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(_config()) as server:
        yield server


def _exception(sdk: Any, status: int) -> type[Exception]:
    name = EXCEPTIONS.get(status, "InternalServerError" if status >= 500 else "APIStatusError")
    exception: type[Exception] = getattr(sdk, name)
    return exception


async def _expect_exception(
    sdk: Any, status: int, call: Callable[[], Awaitable[Any]], message: str
) -> None:
    """Check that `call` raises the exception of `sdk` for `status`, with the message and the id."""
    with pytest.raises(_exception(sdk, status), match=message) as caught:
        await call()
    assert isinstance(caught.value, sdk.APIStatusError)
    assert caught.value.status_code == status
    assert caught.value.request_id


@pytest.mark.parametrize("word", WORDS)
async def test_the_openai_sdk_raises_its_own_exception(server: AsyncServer, word: str) -> None:
    status = STATUSES[word][0]
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0) as client:
        calls: list[Any] = [
            lambda: client.chat.completions.create(**chat_request(f"said {word}")),
            lambda: client.chat.completions.create(**chat_request(f"said {word}"), stream=True),
            lambda: client.responses.create(**responses_request(f"said {word}")),
            lambda: client.responses.create(**responses_request(f"said {word}"), stream=True),
            lambda: client.embeddings.create(**embeddings_request(f"said {word}")),
            lambda: client.completions.create(model="m", prompt=f"said {word}"),
        ]
        for index, call in enumerate(calls):
            is_response = index in (2, 3)
            expected = 400 if word == "not_found" and is_response else status
            await _expect_exception(openai_sdk, expected, call, f"Our {word}")


@pytest.mark.parametrize("word", WORDS)
async def test_the_anthropic_sdk_raises_its_own_exception(server: AsyncServer, word: str) -> None:
    status = STATUSES[word][1]
    async with AsyncAnthropic(
        base_url=server.anthropic_base_url, api_key="any", max_retries=0
    ) as client:
        if status == 200:
            message = await client.messages.create(**messages_request(f"said {word}"))
            assert (message.content, message.stop_reason) == ([], "refusal")
            return
        calls: list[Any] = [
            lambda: client.messages.create(**messages_request(f"said {word}")),
            lambda: client.messages.create(**messages_request(f"said {word}"), stream=True),
        ]
        for call in calls:
            await _expect_exception(anthropic_sdk, status, call, f"Our {word}")


@pytest.mark.parametrize("word", WORDS)
async def test_synchronous_clients_raise_the_same(server: AsyncServer, word: str) -> None:
    status, other = STATUSES[word]

    def call() -> None:
        with (
            OpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0) as client,
            pytest.raises(_exception(openai_sdk, status), match=f"Our {word}"),
        ):
            client.chat.completions.create(**chat_request(f"said {word}"))
        with Anthropic(
            base_url=server.anthropic_base_url, api_key="any", max_retries=0
        ) as anthropic:
            if other != 200:
                with pytest.raises(_exception(anthropic_sdk, other), match=f"Our {word}"):
                    anthropic.messages.create(**messages_request(f"said {word}"))

    await anyio.to_thread.run_sync(call)


@pytest.mark.parametrize("word", RETRIED)
async def test_the_sdks_retry_what_they_retry_of_the_service(
    server: AsyncServer, word: str
) -> None:
    counts: list[str] = []

    async def note(request: httpx.Request) -> None:
        counts.append(request.headers["x-stainless-retry-count"])

    async with httpx.AsyncClient(event_hooks={"request": [note]}) as http:
        openai = AsyncOpenAI(
            base_url=server.openai_base_url, api_key="any", max_retries=1, http_client=http
        )
        with pytest.raises(openai_sdk.APIStatusError):
            await openai.chat.completions.create(**chat_request(f"said {word}"))
        anthropic = AsyncAnthropic(
            base_url=server.anthropic_base_url, api_key="any", max_retries=1, http_client=http
        )
        with pytest.raises(anthropic_sdk.APIStatusError):
            await anthropic.messages.create(**messages_request(f"said {word}"))

    assert counts == (["0", "1", "0"] if word == "billing" else ["0", "1", "0", "1"])


async def _post(server: AsyncServer, path: str, body: Any, headers: Any) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        url = server.anthropic_base_url + path
        return await http.post(url, content=orjson.dumps(body), headers=headers)


async def test_a_failure_of_any_call_is_one_of_counting_too(server: AsyncServer) -> None:
    for path, ask, headers in (
        ("/v1/messages/count_tokens", chat_request, ANTHROPIC_HEADERS),
        ("/v1/responses/input_tokens", responses_request, OPENAI_HEADERS),
        ("/v1/responses/compact", responses_request, OPENAI_HEADERS),
    ):
        refused = await _post(server, path, ask("said bad_key"), headers)
        counted = await _post(server, path, ask("said overloaded"), headers)
        assert (refused.status_code, counted.status_code) == (401, 200)
        assert "Our bad_key" in refused.text
