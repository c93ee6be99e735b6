"""Token counts, through the official clients."""

from __future__ import annotations

from typing import Any

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

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
