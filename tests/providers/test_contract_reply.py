"""The contract for replies: the official clients read what is written once, in every API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from mockllm import (
    AsyncServer,
    Config,
    Match,
    Mock,
    OpenAIMock,
    Reply,
    ReplyStream,
    ToolCall,
    Usage,
)
from mockllm.engine.building import build_engine
from mockllm.engine.loading import load
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.neutral import Said, read
from tests.support.served import (
    chat_mock,
    chat_request,
    chat_saying,
    messages_request,
    responses_request,
)
from tests.support.strict import STRICT_WITH_KEY

pytestmark = pytest.mark.anyio

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class City(BaseModel):
    name: str


CONFIG = Config(
    openai=[OpenAIMock.model_validate(chat_mock("own", chat_saying("of the own list")))],
    mocks=[
        Mock(
            name="calls",
            match=Match(tool_names=["get_weather"]),
            reply=Reply(
                reasoning="Two cities.",
                text="I look both up.",
                tool_calls=[
                    ToolCall(name="get_weather", arguments={"city": "Paris"}, id="call_1"),
                    ToolCall(name="get_weather", arguments={"city": "Rome"}, id="call_2"),
                ],
                usage=Usage(input=100, output=20, cached=10, reasoning=5),
            ),
        ),
        Mock(
            name="json",
            match=Match(system_contains=["JSON"]),
            reply=Reply(json=City(name="Paris")),
            stream=ReplyStream(chunk="char"),
        ),
        Mock(
            name="cut",
            match=Match(system_contains=["cut"]),
            reply=Reply(text="It is 1", finish="length"),
        ),
        Mock(
            name="made",
            match=Match(system_contains=["words"]),
            reply=Reply(
                reasoning={"generate": {"tokens": 30}},
                text={"generate": {"tokens": 2_000}},
                tool_calls=[ToolCall(name="get_weather")],
            ),
        ),
        Mock(name="default", reply="Hello there"),
    ],
)
CALLS = Said(
    "I look both up.",
    "Two cities.",
    "",
    [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})],
    ["call_1", "call_2"],
    "stop",
)
HELLO = Said("Hello there", "", "", [], [], "stop")
CUT = Said("It is 1", "", "", [], [], "length")
PARIS = Said('{"name":"Paris"}', "", "", [], [], "stop")


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(CONFIG) as server:
        yield server


@pytest.fixture(params=[CHAT.name, RESPONSES.name, MESSAGES.name])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


LIMITS = {
    CHAT.name: "max_completion_tokens",
    RESPONSES.name: "max_output_tokens",
    MESSAGES.name: "max_tokens",
}


def asking(
    api: str, text: str = "Hi", *, system: str = "", tool: str = "", limit: int = 0
) -> dict[str, Any]:
    """The arguments of a client's call."""
    if limit:
        return asking(api, text, system=system, tool=tool) | {LIMITS[api]: limit}
    function = {"name": tool, "parameters": PARAMETERS}
    if api == CHAT.name:
        body = chat_request(text)
        if system:
            body["messages"].insert(0, {"role": "system", "content": system})
        strict = {"type": "function", "function": function | {"strict": True}}
        return body | ({"tools": [strict]} if tool else {})  # openai 2.0 demands strict ones
    if api == RESPONSES.name:
        tools = [{"type": "function", "strict": False, **function}]
        more = {"tools": tools} if tool else {}
        return responses_request(text, **more, **({"instructions": system} if system else {}))
    tools = [{"name": tool, "input_schema": PARAMETERS}]
    more = {"tools": tools} if tool else {}
    return messages_request(text, **more, **({"system": system} if system else {}))


async def ask(api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic, **asked: Any) -> Said:
    body = asking(api, **asked)
    answer: Any
    if api == CHAT.name:
        answer = await openai.chat.completions.create(**body)
    elif api == RESPONSES.name:
        answer = await openai.responses.create(**body)
    else:
        answer = await anthropic.messages.create(**body)
    return read(READ[api], answer.to_dict())


async def ask_streamed(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic, **asked: Any
) -> Said:
    body = asking(api, **asked)
    answer: Any
    if api == CHAT.name:
        async with openai.chat.completions.stream(**body) as chunks:
            answer = await chunks.get_final_completion()
    elif api == RESPONSES.name:
        async with openai.responses.stream(**body) as events:
            answer = await events.get_final_response()
    else:
        async with anthropic.messages.stream(**body) as stream:
            answer = await stream.get_final_message()
    return read(READ[api], answer.to_dict())


READ = {api.name: api for api in (CHAT, RESPONSES, MESSAGES)}
ASKED = pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, HELLO),
        ({"tool": "get_weather"}, CALLS),
        ({"system": "Answer in JSON."}, PARIS),
    ],
    ids=["text", "calls", "json"],
)


@ASKED
async def test_every_api_answers_with_the_reply(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic, asked: Any, expected: Said
) -> None:
    assert await ask(api, openai, anthropic, **asked) == expected


@ASKED
async def test_every_api_streams_the_reply(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic, asked: Any, expected: Said
) -> None:
    assert await ask_streamed(api, openai, anthropic, **asked) == expected


async def test_an_answer_that_is_cut_short_says_so_in_every_api(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    assert await ask(api, openai, anthropic, system="cut") == CUT


async def test_an_answer_that_is_made_is_cut_by_the_limit_of_the_request(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    said = await ask(api, openai, anthropic, system="words", limit=1_500)

    assert (len(said.reasoning.split()), len(said.text.split())) == (30, 1_470)
    assert (said.calls, said.finish) == ([], "length")


async def test_an_answer_that_is_made_is_streamed(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    said = await ask_streamed(api, openai, anthropic, system="words", limit=5_000)

    assert (len(said.reasoning.split()), len(said.text.split())) == (30, 2_000)
    assert (said.calls, said.finish) == ([("get_weather", {})], "stop")


@ASKED
async def test_sync_clients_read_the_reply(
    sync_openai: OpenAI, sync_anthropic: Anthropic, asked: Any, expected: Said
) -> None:
    def whole() -> list[Said]:
        chat = sync_openai.chat.completions.create(**asking(CHAT.name, **asked))
        response = sync_openai.responses.create(**asking(RESPONSES.name, **asked))
        message = sync_anthropic.messages.create(**asking(MESSAGES.name, **asked))
        answers = [chat.to_dict(), response.to_dict(), message.to_dict()]
        return [read(api, answer) for api, answer in zip(READ.values(), answers, strict=True)]

    assert await asyncio.to_thread(whole) == [expected] * 3


async def test_the_own_list_of_an_api_comes_first(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    said = [await ask(api, openai, anthropic, text="own") for api in READ]

    assert [each.text for each in said] == ["of the own list", "Hello there", "Hello there"]


async def test_a_forced_tool_is_called_with_the_json_whole_and_streamed(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    """By the way that each client forces one, and read by the SDK's own parser."""
    chat = asking(CHAT.name, system="JSON", tool="answer") | {
        "tool_choice": {"type": "function", "function": {"name": "answer"}}
    }
    response = asking(RESPONSES.name, system="JSON", tool="answer") | {
        "tool_choice": {"type": "function", "name": "answer"}
    }
    message = asking(MESSAGES.name, system="JSON", tool="answer") | {
        "tool_choice": {"type": "tool", "name": "answer"}
    }

    for _ in range(3):  # the third is cached
        answers: list[Any] = [
            await openai.chat.completions.create(**chat),
            await openai.responses.create(**response),
            await anthropic.messages.create(**message),
        ]
        async with openai.chat.completions.stream(**chat) as chunks:
            answers.append(await chunks.get_final_completion())
        async with openai.responses.stream(**response) as events:
            answers.append(await events.get_final_response())
        async with anthropic.messages.stream(**message) as stream:
            answers.append(await stream.get_final_message())

        said = [read(a, b.to_dict()) for a, b in zip([*READ.values()] * 2, answers, strict=True)]
        assert [each.calls for each in said] == [[("answer", {"name": "Paris"})]] * 6
        assert [each.text for each in said] == [""] * 6


async def test_structured_output_is_parsed(openai: AsyncOpenAI) -> None:
    messages: Any = [{"role": "system", "content": "JSON"}, {"role": "user", "content": "?"}]

    chat = await openai.chat.completions.parse(model="m", messages=messages, response_format=City)
    response = await openai.responses.parse(model="m", input=messages, text_format=City)

    assert chat.choices[0].message.parsed == City(name="Paris")
    assert response.output_parsed == City(name="Paris")


async def test_usage_is_that_of_the_reply(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    chat = await openai.chat.completions.create(**asking(CHAT.name, tool="get_weather"))
    message = await anthropic.messages.create(**asking(MESSAGES.name, tool="get_weather"))

    assert chat.usage is not None
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens) == (100, 20)
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (90, 10)


async def test_a_stream_is_cut_as_the_mock_says(openai: AsyncOpenAI) -> None:
    body = asking(CHAT.name, system="JSON")
    deltas = [
        chunk.choices[0].delta.content
        async for chunk in await openai.chat.completions.create(**body, stream=True)
    ]

    assert max(len(delta or "") for delta in deltas) == 1


async def test_a_dict_may_have_mocks_for_every_api() -> None:
    async with (
        AsyncServer({"mocks": [{"reply": "Hi"}]}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, **STRICT_WITH_KEY) as openai,
    ):
        response = await openai.responses.create(model="m", input="?")

    assert response.output_text == "Hi"


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic"])
async def test_a_reply_may_stand_in_the_list_of_an_api(field: str) -> None:
    loaded = load(Config.from_dict({field: [{"reply": "Hi"}]}))

    counts = {table.api.name: len(table.mocks) for table in loaded.tables}
    assert counts == dict.fromkeys(counts, 0) | {field: 1}


async def test_embeddings_have_no_part_in_mocks() -> None:
    tables = build_engine({"mocks": [{"reply": "Hi"}]}).tables

    counts = {table.api.name: len(table.mocks) for table in tables}
    assert counts == {"openai": 1, "openai_response": 1, "anthropic": 1, "openai_embeddings": 0}
