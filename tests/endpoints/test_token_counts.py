"""Token counts, through the official clients."""

from __future__ import annotations

from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import Config
from mockllm.engine.asking import MAX_UNDIVIDED
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told

pytestmark = pytest.mark.anyio


async def test_token_counts_agree_with_the_usage_of_an_answer(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    user: Any = {"role": "user", "content": "hi"}
    counted = await anthropic.messages.count_tokens(model="m", messages=[user])
    answer = await anthropic.messages.create(model="m", messages=[user], max_tokens=9)
    assert counted.input_tokens == answer.usage.input_tokens

    tokens = await openai.responses.input_tokens.count(model="m", input="hi")
    response = await openai.responses.create(model="m", input="hi")
    assert response.usage is not None
    assert tokens.input_tokens == response.usage.input_tokens


async def test_token_counts_need_no_input_where_the_api_does_not(openai: AsyncOpenAI) -> None:
    assert (await openai.responses.input_tokens.count()).input_tokens == 1


async def test_token_counts_refuse_invalid_requests(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    nobody: Any = {"content": "hi"}
    with pytest.raises(anthropic_sdk.BadRequestError, match=r"messages\.0\.role"):
        await anthropic.messages.count_tokens(model="m", messages=[nobody])
    with pytest.raises(openai_sdk.BadRequestError, match="instructions: expected a string"):
        await openai.responses.input_tokens.count(instructions=3)  # type: ignore[arg-type]  # the mistake


# --- Large requests -------------------------------------------------------------------------------

LARGE = "x" * MAX_UNDIVIDED
ENDPOINTS = pytest.mark.parametrize(
    ("path", "headers", "member"),
    [
        ("/v1/messages/count_tokens", ANTHROPIC, "messages"),
        ("/v1/responses/input_tokens", KEY, "input"),
        ("/v1/responses/compact", KEY, "input"),
    ],
)


@ENDPOINTS
@pytest.mark.parametrize(("text", "pauses"), [("hi", False), (LARGE, True)])
def test_large_requests_are_counted_with_pauses(
    path: str, headers: dict[str, str], member: str, text: str, pauses: bool
) -> None:
    app = LoneApp(Engine(load(Config.from_dict({}))))
    body = {"model": "m", member: [{"role": "user", "content": text}]}

    answer = told(ask("POST", path, headers, body, engine=app))

    assert answer.get("usage", answer)["input_tokens"] == -(-len(text) // 4) + 6
    assert (app.pauses > 0) is pauses


@ENDPOINTS
@pytest.mark.parametrize("text", ["hi", LARGE])
def test_large_requests_are_refused_like_small_ones(
    path: str, headers: dict[str, str], member: str, text: str
) -> None:
    body = {"model": "m", member: [{"role": "nobody", "content": text}]}

    decision = ask("POST", path, headers, body, engine=LoneApp(Engine(load(Config.from_dict({})))))

    assert decision.reply.status == 400
    assert "role" in told(decision)["error"]["message"]
