"""The contract for mocks with several answers: the official clients get them in order, in every
API, whole and streamed, and their retries move no script on that they have not used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer, Config, Entry, Match, Mock
from tests.support.http_library import httpx

pytestmark = pytest.mark.anyio

SOON = {"as": "overloaded", "retry_after": "1ms"}
MOCKS = Config(
    mocks=[
        Mock(
            name="order", match=Match(user="order"), sequence=["one", Entry(reply="two", times=2)]
        ),
        Mock(
            name="storm",
            match=Match(user="storm"),
            sequence=[Entry(error=SOON, times=2), "calm", "sunny"],
        ),
        Mock(name="slow", match=Match(user="slow"), sequence=["first", "second"]),
        Mock(name="warm", reply="warm", first=[Entry(error=SOON, times=2)]),
    ]
)

Say = Callable[[AsyncOpenAI, AsyncAnthropic, str], Awaitable[str]]
"""Returns what the model says to a text, as a client reads it."""


async def chat(openai: AsyncOpenAI, _: AsyncAnthropic, text: str) -> str:
    answer = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content or ""


async def chat_streamed(openai: AsyncOpenAI, _: AsyncAnthropic, text: str) -> str:
    stream = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": text}], stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def responses(openai: AsyncOpenAI, _: AsyncAnthropic, text: str) -> str:
    return (await openai.responses.create(model="m", input=text)).output_text


async def responses_streamed(openai: AsyncOpenAI, _: AsyncAnthropic, text: str) -> str:
    async with openai.responses.stream(model="m", input=text) as stream:
        return (await stream.get_final_response()).output_text


async def messages(_: AsyncOpenAI, anthropic: AsyncAnthropic, text: str) -> str:
    answer = await anthropic.messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": text}]
    )
    (block,) = answer.content
    return block.text if block.type == "text" else ""


async def messages_streamed(_: AsyncOpenAI, anthropic: AsyncAnthropic, text: str) -> str:
    async with anthropic.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": text}]
    ) as stream:
        return await stream.get_final_text()


WAYS: list[Say] = [
    chat,
    chat_streamed,
    responses,
    responses_streamed,
    messages,
    messages_streamed,
]
EVERY_WAY = pytest.mark.parametrize("say", WAYS, ids=lambda say: say.__name__)
NOT_FOUND = (openai_sdk.NotFoundError, anthropic_sdk.NotFoundError)


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    async with AsyncServer(MOCKS) as one:
        yield one


class Clients:
    """A client of each vendor, of a session of its own, and the requests that they sent."""

    def __init__(self, server: AsyncServer, session: str) -> None:
        self.sent: list[tuple[str, int]] = []
        """The retry count and the status of each request."""
        urls = server.session(session)
        hooks: Any = {"event_hooks": {"response": [self._note]}}
        self.openai = AsyncOpenAI(
            base_url=urls.openai_base_url,
            api_key="any",
            max_retries=3,
            http_client=httpx.AsyncClient(**hooks),
        )
        self.anthropic = AsyncAnthropic(
            base_url=urls.anthropic_base_url,
            api_key="any",
            max_retries=3,
            http_client=httpx.AsyncClient(**hooks),
        )

    async def _note(self, response: Any) -> None:
        count = response.request.headers["x-stainless-retry-count"]
        self.sent.append((count, response.status_code))

    async def say(self, say: Say, text: str) -> str:
        return await say(self.openai, self.anthropic, text)

    async def close(self) -> None:
        await self.openai.close()
        await self.anthropic.close()


@pytest.fixture
async def clients(server: AsyncServer) -> AsyncIterator[Clients]:
    one = Clients(server, "one")
    yield one
    await one.close()


@EVERY_WAY
async def test_answers_come_in_order_and_the_end_is_not_retried(clients: Clients, say: Say) -> None:
    answers = [await clients.say(say, "order") for _ in range(3)]
    with pytest.raises(NOT_FOUND, match="'order' is exhausted after 3 answers"):
        await clients.say(say, "order")

    assert answers == ["one", "two", "two"]
    assert [status for _, status in clients.sent] == [200, 200, 200, 404]


async def test_one_script_is_told_to_the_clients_of_all_apis(clients: Clients) -> None:
    answers = [await clients.say(say, "order") for say in (chat, messages_streamed, responses)]

    assert answers == ["one", "two", "two"]


@EVERY_WAY
async def test_errors_are_retried_until_the_answer_behind_them(clients: Clients, say: Say) -> None:
    assert await clients.say(say, "storm") == "calm"
    assert await clients.say(say, "storm") == "sunny"

    assert [count for count, _ in clients.sent] == ["0", "1", "2", "0"]
    assert [status // 100 for _, status in clients.sent] == [5, 5, 2, 2]


@EVERY_WAY
async def test_errors_before_an_answer_come_once(clients: Clients, say: Say) -> None:
    assert [await clients.say(say, "anything") for _ in range(3)] == ["warm"] * 3

    assert len(clients.sent) == 5


@EVERY_WAY
async def test_a_retry_after_a_lost_answer_gets_it_again(
    clients: Clients, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks once the server has answered: the client has not used that answer."""
    lost: list[Any] = []

    async def lose(response: Any) -> None:
        if not lost:
            lost.append(response)
            await response.aread()
            raise httpx.ReadError("lost", request=response.request)

    for client in (clients.openai, clients.anthropic):
        hooks = client._client.event_hooks
        monkeypatch.setattr(client._client, "event_hooks", hooks | {"response": [lose]})

    assert [await clients.say(say, "slow") for _ in range(2)] == ["first", "second"]
    assert len(lost) == 1


async def test_sessions_do_not_see_each_others_places(
    server: AsyncServer, clients: Clients
) -> None:
    other = Clients(server, "other")

    answers = [await who.say(chat, "order") for who in (clients, clients, other, clients, other)]
    await other.close()

    assert answers == ["one", "two", "one", "two", "two"]


async def test_a_session_that_begins_again_begins_with_the_first_answer(
    server: AsyncServer,
) -> None:
    answers = []
    for _ in range(2):
        with server.session("again") as session:
            async with AsyncOpenAI(base_url=session.openai_base_url, api_key="any") as client:
                answers.append(
                    (await client.responses.create(model="m", input="order")).output_text
                )

    assert answers == ["one", "one"]
