"""Many calls at once, on one server in one loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.served import (
    API_KEY,
    chat_mock,
    chat_request,
    chat_saying,
    embeddings_mock,
    embeddings_request,
    messages_mock,
    messages_request,
    messages_saying,
    responses_mock,
    responses_request,
    responses_saying,
)

pytestmark = pytest.mark.anyio

CALLS = 200
ASKED = [f"question {number}." for number in range(CALLS)]


def answer(asked: str) -> str:
    """The text configured for it, unique so that answers cannot be confused."""
    return f"The answer to {asked!r} is… " + "word " * len(asked)


CONFIG = {
    "openai": [chat_mock(asked, chat_saying(answer(asked))) for asked in ASKED],
    "openai_response": [responses_mock(asked, responses_saying(answer(asked))) for asked in ASKED],
    "anthropic": [messages_mock(asked, messages_saying(answer(asked))) for asked in ASKED],
    "openai_embeddings": [
        embeddings_mock(asked, [float(number)]) for number, asked in enumerate(ASKED)
    ],
}

Ask = Callable[[AsyncOpenAI, AsyncAnthropic, str], Awaitable[str | None]]


async def chat(openai: AsyncOpenAI, _: AsyncAnthropic, asked: str) -> str | None:
    completion = await openai.chat.completions.create(**chat_request(asked))
    return completion.choices[0].message.content


async def streamed_chat(openai: AsyncOpenAI, _: AsyncAnthropic, asked: str) -> str | None:
    async with openai.chat.completions.stream(**chat_request(asked)) as stream:
        return (await stream.get_final_completion()).choices[0].message.content


async def responses(openai: AsyncOpenAI, _: AsyncAnthropic, asked: str) -> str | None:
    return (await openai.responses.create(**responses_request(asked))).output_text


async def streamed_responses(openai: AsyncOpenAI, _: AsyncAnthropic, asked: str) -> str | None:
    async with openai.responses.stream(**responses_request(asked)) as stream:
        return (await stream.get_final_response()).output_text


async def messages(_: AsyncOpenAI, anthropic: AsyncAnthropic, asked: str) -> str | None:
    message = await anthropic.messages.create(**messages_request(asked))
    return "".join(block.text for block in message.content if block.type == "text")


async def streamed_messages(_: AsyncOpenAI, anthropic: AsyncAnthropic, asked: str) -> str | None:
    async with anthropic.messages.stream(**messages_request(asked)) as stream:
        return await stream.get_final_text()


async def embeddings(openai: AsyncOpenAI, _: AsyncAnthropic, asked: str) -> str | None:
    vector = (await openai.embeddings.create(**embeddings_request(asked))).data[0].embedding
    return answer(ASKED[int(vector[0])])


ASKS: list[Ask] = [
    chat,
    streamed_chat,
    responses,
    streamed_responses,
    messages,
    streamed_messages,
    embeddings,
]


async def test_200_concurrent_calls_each_get_their_own_answer() -> None:
    async with (
        AsyncServer(CONFIG) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as openai,
        AsyncAnthropic(
            base_url=server.anthropic_base_url, api_key=API_KEY, max_retries=0
        ) as anthropic,
    ):
        answers = await asyncio.gather(
            *(ASKS[number % len(ASKS)](openai, anthropic, ASKED[number]) for number in range(CALLS))
        )
    assert answers == list(map(answer, ASKED))
