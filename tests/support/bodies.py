"""Request bodies of each API, malformed ones too, and a way to send them: not by the methods of
the clients, which would not make them, but so that the clients read the answers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support import contract
from tests.support.contract import TEXT_ASKED
from tests.support.served import (
    API_KEY,
    Json,
    chat_mock,
    chat_request,
    embeddings_request,
    messages_mock,
    messages_request,
    responses_mock,
    responses_request,
)

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "chat", "responses", "messages", "embeddings"
APIS = (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)
PATHS = {
    CHAT: "/chat/completions",
    RESPONSES: "/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/embeddings",
}

ANYTHING = {"match_type": "contains"}
VECTOR = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
CONFIG = {
    "openai": [chat_mock("", contract.CHAT[TEXT_ASKED], **ANYTHING)],
    "openai_response": [responses_mock("", contract.RESPONSES[TEXT_ASKED], **ANYTHING)],
    "anthropic": [messages_mock("", contract.MESSAGES[TEXT_ASKED], **ANYTHING)],
    "openai_embeddings": [
        {"match": {"input": "", **ANYTHING}, "response": VECTOR},
    ],
}
"""Mocks that match any request, with complete responses, so that `strict` accepts them."""


def _content_of(client: type[Any]) -> str:
    """The argument of a client's `post` for bytes: older SDKs have one less."""
    return "content" if "content" in inspect.signature(client.post).parameters else "body"


_CONTENT = {
    **dict.fromkeys(APIS, _content_of(AsyncOpenAI)),
    MESSAGES: _content_of(AsyncAnthropic),
}


class Clients(NamedTuple):
    """The clients of one server; `post` sends bodies that their methods would not create."""

    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    async def post(self, api: str, body: bytes) -> Any:
        options: Any = {"headers": {"content-type": "application/json"}}
        client = self.anthropic if api == MESSAGES else self.openai
        content: Any = {_CONTENT[api]: body}
        return await client.post(PATHS[api], **content, options=options, cast_to=object)


@asynccontextmanager
async def serving(*, strict: bool = False) -> AsyncIterator[Clients]:
    """Clients of a server that answers any request."""
    async with (
        AsyncServer(CONFIG, strict=strict) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as openai,
        AsyncAnthropic(
            base_url=server.anthropic_base_url, api_key=API_KEY, max_retries=0
        ) as anthropic,
    ):
        yield Clients(openai, anthropic)


CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def small(api: str, **members: Any) -> Json:
    """The smallest request of an API, with `members`."""
    request = {
        CHAT: chat_request,
        RESPONSES: responses_request,
        MESSAGES: messages_request,
        EMBEDDINGS: embeddings_request,
    }[api]
    return request("hi", **members)


def without(api: str, name: str) -> Json:
    return {key: value for key, value in small(api).items() if key != name}


def turns(api: str, *entries: Any) -> Json:
    """A request with these messages or items, followed by a user's turn."""
    name = "input" if api == RESPONSES else "messages"
    return small(api, **{name: [*entries, {"role": "user", "content": "hi"}]})


def user(api: str, content: Any) -> Json:
    """A request in which a user's turn has this content."""
    return turns(api, {"role": "user", "content": content})


def error_type(error: Any) -> Any:
    """The type in the envelope of an error; older clients of Anthropic have no member for it."""
    return error.type if hasattr(error, "type") else error.body["error"]["type"]


async def refusal(clients: Clients, api: str, body: bytes) -> str:
    """The text of the exception that the SDK of `api` raises for a 400."""
    refused: type[Any] = (anthropic_sdk if api == MESSAGES else openai_sdk).BadRequestError
    with pytest.raises(refused) as info:
        await clients.post(api, body)
    assert info.value.request_id
    assert error_type(info.value) == "invalid_request_error"
    return str(info.value)
