"""Legacy completions, answered by mocks of Chat Completions."""

from __future__ import annotations

from typing import Any

import openai as openai_sdk
import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer, Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from tests.support.apps import LoneApp
from tests.support.endpoints import MODELS
from tests.support.engines import ask, echo, told
from tests.support.served import API_KEY

pytestmark = pytest.mark.anyio


def test_a_demo_echoes_a_prompt_too() -> None:
    engine = LoneApp(Engine(load(Config()), echo=echo))

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": "hu"}, engine=engine)

    assert told(decision)["choices"][0]["text"] == "<hu>"


async def test_a_chat_mock_answers_a_prompt(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="m", prompt=["hi", "ho"])

    told = [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices]
    assert told == [(0, "one two", "stop"), (1, "three", "stop")]
    assert answer.model == MODELS[0]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        ({"total_tokens": 9}, {"total_tokens": 9, "prompt_tokens": 7, "completion_tokens": 2}),
        (None, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    ],
)
def test_the_usage_of_a_mock_is_completed(written: Any, expected: dict[str, int]) -> None:
    response = {"choices": [{"message": {"content": "one two"}}], "usage": written}
    engine = LoneApp(Engine(load(Config.from_dict({"openai": [{"response": response}]}))))
    body = {"model": "m", "prompt": "hi"}

    assert told(ask("POST", "/v1/completions", body=body, engine=engine))["usage"] == expected


async def test_a_prompt_is_answered_in_pieces(server: AsyncServer) -> None:
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as lenient:
        stream = await lenient.completions.create(
            model="m", prompt="hi", stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]

    told = [(chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks]
    assert told == [("one ", None), ("two", None), ("", "stop")]
    assert len({chunk.id for chunk in (*chunks, last)}) == 1
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 3


async def test_a_prompt_that_no_mock_matches_is_404(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="Closest mock"):
        await openai.completions.create(model="m", prompt=["hi", "hu"])


@pytest.mark.parametrize("prompt", [[1, 2], [], 3, None])
async def test_a_prompt_is_text(openai: AsyncOpenAI, prompt: Any) -> None:
    with pytest.raises(openai_sdk.BadRequestError, match="prompt"):
        await openai.completions.create(model="m", prompt=prompt)
