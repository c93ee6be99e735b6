"""The loop with pydantic-ai, which runs it itself."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Server
from tests.agents.weather import ANSWER, QUESTION, Station

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("default")]


def _chat(server: Server) -> Any:
    provider = OpenAIProvider(base_url=server.openai_base_url, api_key="any")
    return OpenAIChatModel("gpt-4o", provider=provider)


def _responses(server: Server) -> Any:
    provider = OpenAIProvider(base_url=server.openai_base_url, api_key="any")
    return OpenAIResponsesModel("gpt-4o", provider=provider)


def _messages(server: Server) -> Any:
    provider = AnthropicProvider(base_url=server.anthropic_base_url, api_key="any")
    return AnthropicModel("claude-sonnet-5", provider=provider)


@pytest.mark.parametrize("model", [_chat, _responses, _messages])
async def test_the_loop(server: Server, station: Station, model: Any) -> None:
    agent = Agent(model(server), tools=[station.get_weather])

    result = await agent.run(QUESTION)

    assert result.output == ANSWER


@pytest.mark.parametrize("model", [_chat, _responses, _messages])
async def test_the_loop_streamed(server: Server, station: Station, model: Any) -> None:
    agent = Agent(model(server), tools=[station.get_weather])

    async with agent.run_stream(QUESTION) as result:
        output = await result.get_output()

    assert output == ANSWER
