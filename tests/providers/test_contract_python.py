"""The contract for configurations in Python: with the SDKs' own objects and their types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message, MessageParam, TextBlock, Usage
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse, Embedding
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_message_function_tool_call import Function
from openai.types.create_embedding_response import Usage as EmbeddingUsage
from openai.types.responses import (
    EasyInputMessageParam,
    Response,
    ResponseFunctionToolCall,
    ResponseInputItemParam,
    ResponseOutputMessage,
    ResponseOutputText,
)

from mockllm import (
    AnthropicMock,
    AnthropicRequestMatch,
    AsyncServer,
    Config,
    HeaderMatch,
    MatchType,
    OpenAIEmbeddingsMock,
    OpenAIEmbeddingsRequestMatch,
    OpenAIMock,
    OpenAIRequestMatch,
    OpenAIResponseMock,
    OpenAIResponseRequestMatch,
)
from tests.support.served import API_KEY

pytestmark = pytest.mark.anyio

ASKED: ChatCompletionUserMessageParam = {"role": "user", "content": "What is 40 + 2?"}
ASKED_MESSAGE: MessageParam = {"role": "user", "content": "What is 40 + 2?"}
TOLD: ChatCompletionToolMessageParam = {"role": "tool", "tool_call_id": "c", "content": "42"}
HEADERS = [HeaderMatch(name="X-Tenant-ID", value="a", match_type=MatchType.CONTAINS)]

CALL = ChatCompletionMessage(
    role="assistant",
    tool_calls=[
        ChatCompletionMessageFunctionToolCall(
            id="c", type="function", function=Function(name="add", arguments='{"a":40,"b":2}')
        )
    ],
)
COMPLETION = ChatCompletion(
    id="chatcmpl-1",
    object="chat.completion",
    created=1755137921,
    model="gpt-5",
    choices=[Choice(index=0, message=CALL, finish_reason="tool_calls")],
)
TEXT_COMPLETION = COMPLETION.model_copy(
    update={
        "choices": [
            Choice(
                index=0,
                message=ChatCompletionMessage(role="assistant", content="It is 42."),
                finish_reason="stop",
            )
        ]
    }
)
RESPONSE = Response(
    id="resp_1",
    object="response",
    created_at=1741476542,
    model="gpt-5",
    output=[
        ResponseOutputMessage(
            id="msg_1",
            type="message",
            role="assistant",
            status="completed",
            content=[ResponseOutputText(type="output_text", text="It is 42.", annotations=[])],
        )
    ],
    parallel_tool_calls=True,
    tool_choice="auto",
    tools=[],
)
FUNCTION_CALL = ResponseFunctionToolCall(
    type="function_call", call_id="c", name="add", arguments='{"a":40,"b":2}'
)
MESSAGE = Message(
    id="msg_1",
    type="message",
    role="assistant",
    model="claude-5",
    content=[TextBlock(type="text", text="It is 42.")],
    stop_reason="end_turn",
    usage=Usage(input_tokens=1, output_tokens=2),
)
EMBEDDING = CreateEmbeddingResponse(
    object="list",
    model="text-embedding-3-small",
    data=[Embedding(object="embedding", index=0, embedding=[0.5, -0.5])],
    usage=EmbeddingUsage(prompt_tokens=1, total_tokens=1),
)


@asynccontextmanager
async def clients(config: Config) -> AsyncIterator[tuple[AsyncOpenAI, AsyncAnthropic]]:
    """Clients of a server with `config`, which the SDKs' types have nothing to say against."""
    async with (
        AsyncServer(config) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as openai,
        AsyncAnthropic(
            base_url=server.anthropic_base_url, api_key=API_KEY, max_retries=0
        ) as anthropic,
    ):
        yield openai, anthropic


def served(answer: Any, configured: Any) -> Any:
    """The configured part of `answer`: its other members are filled in."""
    if isinstance(configured, dict):
        return {name: served(answer[name], member) for name, member in configured.items()}
    if isinstance(configured, list):
        assert len(answer) == len(configured)
        return [served(one, other) for one, other in zip(answer, configured, strict=True)]
    return answer


async def test_chat_completions_of_sdk_objects() -> None:
    config = Config(
        openai=[
            OpenAIMock(name="asked", match=OpenAIRequestMatch(message=ASKED), response=COMPLETION),
            OpenAIMock(
                name="told",
                match=OpenAIRequestMatch(
                    match_type=MatchType.CONTAINS, message=TOLD, headers=HEADERS
                ),
                response=TEXT_COMPLETION,
            ),
        ]
    )
    async with clients(config) as (openai, _):
        first = await openai.chat.completions.create(model="m", messages=[ASKED])
        assert served(first.to_dict(), COMPLETION.to_dict()) == COMPLETION.to_dict()
        turns: list[Any] = [ASKED, first.choices[0].message, TOLD]
        second = await openai.chat.completions.create(
            model="m", messages=turns, extra_headers={"X-Tenant-ID": "tenant a"}
        )
        assert second.choices[0].message.content == "It is 42."


async def test_chat_message_of_an_answer_may_be_matched() -> None:
    """An SDK's answer is an assistant's message in the next request, nulls and all."""
    mock = OpenAIMock(match=OpenAIRequestMatch(message=CALL), response=TEXT_COMPLETION)
    async with clients(Config(openai=[mock])) as (openai, _):
        turns: list[Any] = [ASKED, CALL.model_dump()]
        completion = await openai.chat.completions.create(model="m", messages=turns)
        assert completion.choices[0].message.content == "It is 42."


async def test_responses_of_sdk_objects() -> None:
    turn: EasyInputMessageParam = {"role": "user", "content": "What is 40 + 2?"}
    result: ResponseInputItemParam = {
        "type": "function_call_output",
        "call_id": "c",
        "output": "42",
    }
    config = Config(
        openai_response=[
            OpenAIResponseMock(
                match=OpenAIResponseRequestMatch(input="What is 40 + 2?"), response=RESPONSE
            ),
            OpenAIResponseMock(
                match=OpenAIResponseRequestMatch(
                    match_type=MatchType.CONTAINS, input=[FUNCTION_CALL, result]
                ),
                response=RESPONSE,
            ),
        ]
    )
    async with clients(config) as (openai, _):
        items: list[Any] = [turn]
        first = await openai.responses.create(model="m", input=items)
        items += [FUNCTION_CALL.to_dict(), result]
        second = await openai.responses.create(model="m", input=items)
    assert served(first.to_dict(), RESPONSE.to_dict()) == RESPONSE.to_dict()
    assert second.output_text == "It is 42."


async def test_messages_of_sdk_objects() -> None:
    match = AnthropicRequestMatch(message=ASKED_MESSAGE)
    config = Config(anthropic=[AnthropicMock(match=match, response=MESSAGE)])
    async with clients(config) as (_, anthropic):
        message = await anthropic.messages.create(model="m", max_tokens=9, messages=[ASKED_MESSAGE])
    assert served(message.to_dict(), MESSAGE.to_dict()) == MESSAGE.to_dict()


async def test_embeddings_of_sdk_objects() -> None:
    match = OpenAIEmbeddingsRequestMatch(input=["one", "two"])
    config = Config(openai_embeddings=[OpenAIEmbeddingsMock(match=match, response=EMBEDDING)])
    async with clients(config) as (openai, _):
        answer = await openai.embeddings.create(
            model="m", input=["one", "two"], encoding_format="float"
        )
    (vector,) = EMBEDDING.data
    second = vector.to_dict() | {"index": 1}
    assert answer.to_dict() == EMBEDDING.to_dict() | {"data": [vector.to_dict(), second]}


async def test_an_answer_of_a_client_is_a_response_of_a_mock() -> None:
    """So an answer of the real service may be kept by the client that got it."""
    mock = OpenAIMock(match=OpenAIRequestMatch(message=ASKED), response=COMPLETION)
    async with clients(Config(openai=[mock])) as (openai, _):
        answer = await openai.chat.completions.create(model="m", messages=[ASKED])
    again = OpenAIMock(match=OpenAIRequestMatch(message=ASKED), response=answer)
    async with clients(Config(openai=[again])) as (openai, _):
        same = await openai.chat.completions.create(model="other", messages=[ASKED])
    assert same.to_dict() == answer.to_dict()


async def test_a_dict_may_hold_sdk_objects() -> None:
    config = {"openai": [{"match": {"message": ASKED}, "response": COMPLETION}]}
    async with clients(Config.from_dict(config)) as (openai, _):
        answer = await openai.chat.completions.create(model="m", messages=[ASKED])
    assert answer.id == COMPLETION.id
