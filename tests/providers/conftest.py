"""Servers of the contract suite, and clients that validate every answer by the SDKs' types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.support.bodies import Clients, serving
from tests.support.contract import CONFIG
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


@pytest.fixture(scope="module")
def sync_openai(server: AsyncServer) -> Iterator[OpenAI]:
    """A client to use in another thread, because the server runs in the test's event loop."""
    with OpenAI(base_url=server.openai_base_url, **STRICT_WITH_KEY) as client:
        yield client


@pytest.fixture(scope="module")
def sync_anthropic(server: AsyncServer) -> Iterator[Anthropic]:
    """A client to use in another thread, because the server runs in the test's event loop."""
    with Anthropic(base_url=server.anthropic_base_url, **STRICT_WITH_KEY) as client:
        yield client


@pytest.fixture(scope="module")
async def clients(anyio_backend: str) -> AsyncIterator[Clients]:
    """Clients of a server that answers any request."""
    async with serving() as clients:
        yield clients
