"""The contract for functions: the official clients read what they return, in every API."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from anyio import fail_after
from openai import AsyncOpenAI

from mockllm import AsyncServer, Error, Match, Mock, Prompt, Reply, Server, ToolCall, contains
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.neutral import read
from tests.support.served import (
    PATIENCE,
    chat_request,
    http_request,
    messages_request,
    port_of,
    responses_request,
)

pytestmark = pytest.mark.anyio

APIS = {api.name: api for api in (CHAT, RESPONSES, MESSAGES)}
apis = pytest.mark.parametrize("api", APIS)


def answer(prompt: Prompt) -> str:
    return f"{prompt.api}, {prompt.user}, turn {prompt.turn}, attempt {prompt.attempt}"


async def answer_later(prompt: Prompt) -> Reply:
    await asyncio.sleep(0)
    return Reply(tool_calls=[ToolCall(name="f", arguments={"user": prompt.user})])


def fail(prompt: Prompt) -> str:
    raise LookupError("no such city")


def returning(value: object) -> Any:
    return lambda prompt: value


CALLED: list[Prompt] = []


def remember(prompt: Prompt) -> str:
    CALLED.append(prompt)
    return str(len(CALLED))


CONFIG: dict[str, Any] = {
    "mocks": [
        Mock(name="later", match=Match(user="later"), reply=answer_later),
        {"name": "fail", "match": {"user": "fail"}, "reply": fail},
        {"name": "none", "match": {"user": "none"}, "reply": returning(None)},
        {"match": {"user": "error"}, "reply": returning(Error(word="rate_limit"))},
        {"match": {"user": "made"}, "reply": returning({"template": "{{ user }} in {{ model }}"})},
        {"match": {"user": "remember"}, "reply": remember},
        {"match": {"user": "in order"}, "sequence": ["first", answer, {"reply": remember}]},
        {"match": {"user": contains("")}, "reply": answer},
    ]
}


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(CONFIG) as server:
        yield server


async def ask(api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic, text: str) -> Any:
    answer: Any
    if api == CHAT.name:
        answer = await openai.chat.completions.create(**chat_request(text))
    elif api == RESPONSES.name:
        answer = await openai.responses.create(**responses_request(text))
    else:
        answer = await anthropic.messages.create(**messages_request(text))
    return read(APIS[api], answer.to_dict())


@apis
async def test_a_function_answers_each_request(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    said = [(await ask(api, openai, anthropic, text)).text for text in ("a", "b", "a", "a")]

    word = APIS[api].word
    assert said == [f"{word}, {text}, turn 1, attempt 1" for text in ("a", "b", "a", "a")]


@apis
async def test_a_function_is_called_for_equal_requests_too(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    CALLED.clear()

    said = [(await ask(api, openai, anthropic, "remember")).text for _ in range(3)]

    assert said == ["1", "2", "3"]


@apis
async def test_an_asynchronous_function_may_call_tools(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    assert (await ask(api, openai, anthropic, "later")).calls == [("f", {"user": "later"})]


@apis
async def test_a_function_may_return_a_text_that_is_made(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    assert (await ask(api, openai, anthropic, "made")).text.startswith("made in ")


async def test_a_function_may_be_an_entry(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    CALLED.clear()

    said = [(await ask(CHAT.name, openai, anthropic, "in order")).text for _ in range(3)]

    assert said == ["first", "chat, in order, turn 1, attempt 1", "1"]


@apis
async def test_an_error_that_is_returned_is_that_of_the_service(
    api: str, openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    errors = (openai_sdk.RateLimitError, anthropic_sdk.RateLimitError)

    with pytest.raises(errors):
        await ask(
            api,
            openai.with_options(max_retries=0),
            anthropic.with_options(max_retries=0),
            "error",
        )


@apis
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fail", "mocks[1] 'fail': reply: the function raised LookupError: no such city"),
        ("none", "mocks[2] 'none': reply: the function returned None, expected a text, a Reply"),
    ],
)
async def test_a_function_that_fails_is_a_500_in_the_form_of_the_vendor(
    api: str,
    openai: AsyncOpenAI,
    anthropic: AsyncAnthropic,
    caplog: pytest.LogCaptureFixture,
    text: str,
    reason: str,
) -> None:
    errors = (openai_sdk.InternalServerError, anthropic_sdk.InternalServerError)

    with pytest.raises(errors) as failed:
        await ask(api, openai, anthropic, text)

    raised: Any = failed.value
    body = raised.body
    error = body["error"] if api == MESSAGES.name else body
    assert error["message"].startswith(reason)
    for record in caplog.records:  # one that is told once may have been told before
        if record.name == "mockllm":
            assert record.levelno == logging.ERROR
            assert record.getMessage().startswith(reason)
            assert bool(record.exc_info) == (text == "fail")
    assert text == "none" or any(record.name == "mockllm" for record in caplog.records)


async def test_legacy_completions_call_functions(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="m", prompt=["a", "b", "made"])

    said = [choice.text for choice in answer.choices]
    assert said == [*(f"chat, {each}, turn 1, attempt 1" for each in "ab"), "made in m"]
    with pytest.raises(openai_sdk.InternalServerError, match="no such city"):
        await openai.completions.create(model="m", prompt=["a", "fail"])


async def test_a_function_that_fails_fails_the_test_with_its_traceback() -> None:
    async with AsyncServer({"mocks": [{"name": "f", "reply": fail}]}) as server:
        client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")
        async with client:
            with pytest.raises(openai_sdk.InternalServerError):
                await client.chat.completions.create(**chat_request("Paris"))

        with pytest.raises(AssertionError) as failed:
            server.assert_no_unmatched()

    text = str(failed.value)
    assert "mocks[0] 'f': reply: the function raised LookupError: no such city" in text
    assert "in fail" in text
    assert "LookupError: no such city" in text.splitlines()[-1]


async def test_a_mock_that_is_added_may_be_made() -> None:
    async with AsyncServer({}) as server:
        session = server.session("a")
        echo = server.add(user=contains("echo"), reply={"template": "{{ user }} {{ call }}"})
        function = session.add(reply=answer)
        client = AsyncOpenAI(base_url=session.openai_base_url, api_key="any")
        async with client:
            said = [(await client.chat.completions.create(**chat_request("a"))).choices[0]]
            function.remove()
            said += [
                (await client.chat.completions.create(**chat_request("echo"))).choices[0]
                for _ in range(2)
            ]
        assert (echo.call_count, function.call_count) == (2, 1)

    texts = [each.message.content for each in said]
    assert texts == ["chat, a, turn 1, attempt 1", "echo 1", "echo 2"]


async def test_other_requests_are_answered_while_a_function_waits() -> None:
    go_on = threading.Event()
    config = {
        "mocks": [
            {"match": {"user": "waits"}, "reply": lambda prompt: str(go_on.wait(PATIENCE))},
            {"reply": "now"},
        ]
    }
    async with AsyncServer(config) as server:
        client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)
        with fail_after(PATIENCE):
            waiting = asyncio.create_task(client.chat.completions.create(**chat_request("waits")))
            now = await client.chat.completions.create(**chat_request("hi"))
            go_on.set()
            done = await waiting
        await client.close()

    said = [each.choices[0].message.content for each in (now, done)]
    assert said == ["now", "True"]


async def test_a_client_that_leaves_cancels_an_asynchronous_function() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(prompt: Prompt) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    async with AsyncServer({"mocks": [{"reply": forever}]}) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(server.base_url))
        writer.write(http_request("/v1/chat/completions", chat_request("hi")))
        with fail_after(PATIENCE):
            await begun.wait()
            writer.close()
            await ended.wait()


def test_the_stop_of_a_server_does_not_wait_for_a_function() -> None:
    begun, go_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def waits(prompt: Prompt) -> str:
        begun.set()
        assert go_on.wait(PATIENCE)
        return "late"

    def ask_and_fail(url: str) -> None:
        with (
            openai_sdk.OpenAI(base_url=url, api_key="any", max_retries=0) as client,
            pytest.raises(openai_sdk.APIConnectionError),
        ):
            client.chat.completions.create(**chat_request("hi"))

    with Server({"mocks": [{"reply": waits}]}) as server:
        client = threading.Thread(target=ask_and_fail, args=(server.openai_base_url,))
        client.start()
        assert begun.wait(PATIENCE)
        server.stop()
        stopped.set()
        client.join(PATIENCE)
    still_waiting = not go_on.is_set()
    go_on.set()

    assert stopped.is_set()
    assert still_waiting
    assert not client.is_alive()
