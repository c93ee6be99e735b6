"""The loop with pydantic-ai, which runs it itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import Server
from tests.agents.weather import ANSWER, QUESTION, Station

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("default")]


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel, AnthropicModel])
async def model(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Any]:
    """A model of each API. Its client is closed in the loop that has opened it."""
    if request.param is AnthropicModel:
        async with AsyncAnthropic(base_url=server.anthropic_base_url, api_key="any") as client:
            provider = AnthropicProvider(anthropic_client=client)
            yield AnthropicModel("claude-sonnet-5", provider=provider)
    else:
        async with AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client:
            yield request.param("gpt-4o", provider=OpenAIProvider(openai_client=client))


async def test_the_loop(station: Station, model: Any) -> None:
    agent = Agent(model, tools=[station.get_weather])

    result = await agent.run(QUESTION)

    assert result.output == ANSWER


async def test_the_loop_streamed(station: Station, model: Any) -> None:
    agent = Agent(model, tools=[station.get_weather])

    async with agent.run_stream(QUESTION) as result:
        output = await result.get_output()

    assert output == ANSWER
