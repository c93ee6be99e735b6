"""The loop with LangChain's chat models."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Server
from tests.agents.weather import ANSWER, QUESTION, Station

pytest.importorskip("langchain_openai")
pytest.importorskip("langchain_anthropic")

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

pytestmark = pytest.mark.filterwarnings("default")  # it is the framework's business

MAX_STEPS = 4


def _chat(server: Server) -> Any:
    return ChatOpenAI(model="gpt-4o", base_url=server.openai_base_url, api_key="any")


def _responses(server: Server) -> Any:
    base_url = server.openai_base_url
    return ChatOpenAI(model="gpt-4o", base_url=base_url, api_key="any", use_responses_api=True)


def _messages(server: Server) -> Any:
    base_url = server.anthropic_base_url
    return ChatAnthropic(model="claude-sonnet-5", base_url=base_url, api_key="any")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [_chat, _responses, _messages])
def test_the_loop(server: Server, station: Station, model: Any, streamed: bool) -> None:
    get_weather = tool(station.get_weather)
    agent = model(server).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(QUESTION)]
    for _ in range(MAX_STEPS):
        if streamed:
            first, *others = agent.stream(messages)
            answer = sum(others, first)
        else:
            answer = agent.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            break
        messages += [get_weather.invoke(call) for call in answer.tool_calls]

    assert answer.text == ANSWER
