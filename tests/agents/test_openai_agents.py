"""The loop with the OpenAI Agents SDK, which runs it itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from mockllm import Server
from tests.agents.weather import ANSWER, QUESTION, Station

pytest.importorskip("agents")

import agents

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("default")]


@pytest.fixture(
    params=[agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel],
    ids=["chat", "responses"],
)
async def agent(
    request: pytest.FixtureRequest, server: Server, station: Station
) -> AsyncIterator[Any]:
    agents.set_tracing_disabled(disabled=True)  # it would call the real service
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key="any") as client:
        model = request.param(model="gpt-4o", openai_client=client)
        yield agents.Agent(
            name="Weather", model=model, tools=[agents.function_tool(station.get_weather)]
        )


async def test_the_loop(agent: Any) -> None:
    result = await agents.Runner.run(agent, QUESTION)

    assert result.final_output == ANSWER


async def test_the_loop_streamed(agent: Any) -> None:
    result = agents.Runner.run_streamed(agent, QUESTION)
    events = [event async for event in result.stream_events()]

    assert result.final_output == ANSWER
    assert events
