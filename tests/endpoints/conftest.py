"""A server and its clients, which validate every answer by the SDKs' types."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.endpoints import CONFIG
from tests.support.strict import STRICT_WITH_KEY


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
async def openai(server: AsyncServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.openai_base_url, **STRICT_WITH_KEY) as client:
        yield client


@pytest.fixture(scope="module")
async def anthropic(server: AsyncServer) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=server.anthropic_base_url, **STRICT_WITH_KEY) as client:
        yield client
