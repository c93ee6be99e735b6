"""On which connection the official clients ask next: on a new one after a fault that breaks the
connection, on the same one after an answer that is over. Sync and async clients of both vendors.

The facts are those of openai 3.54.0 and anthropic 2.12.0. No client waits before it tries again.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

import anyio.to_thread
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from mockllm.serve.protocol import HTTPProtocol
from tests.support.served import chat_request, messages_request

pytestmark = pytest.mark.anyio

FIRST = {"after": "first_token"}
KINDS = {"openai": (OpenAI, AsyncOpenAI), "anthropic": (Anthropic, AsyncAnthropic)}


class Row(NamedTuple):
    """An answer that goes wrong, the requests of a client that may try twice, and the connections
    on which it sends them, with a request before and one after that work."""

    mock: dict[str, Any]
    requests: int
    connections: int


def _failing(requests: int, connections: int, **fault: Any) -> Row:
    return Row({"reply": "Hello world", "fault": fault}, requests, connections)


WHOLE = {
    "FIN before the head": _failing(2, 3, end="cut"),
    "RST before the head": _failing(2, 3, end="reset"),
    "FIN inside the body": _failing(2, 3, end="cut", **FIRST),
    "RST inside the body": _failing(2, 3, end="reset", **FIRST),
    "an error that is retried": Row({"error": "overloaded"}, 2, 1),
    "an error that is not retried": Row({"error": {"status": 400}}, 1, 1),
    "a body that is no JSON": _failing(1, 1, end="clean", **FIRST),
}
STREAMS = {
    "FIN before the head": _failing(2, 3, end="cut"),
    "FIN between events": _failing(1, 2, end="cut", **FIRST),
    "RST between events": _failing(1, 2, end="reset", **FIRST),
    "an error in the middle": _failing(1, 2, error="overloaded", **FIRST),
    "a clean end": _failing(1, 1, end="clean", **FIRST),
}
ROWS = [(row, is_stream) for rows, is_stream in ((WHOLE, False), (STREAMS, True)) for row in rows]


class Asking:
    """A call of a client, sync or async."""

    def __init__(self, create: Any, vendor: str, *, sync: bool) -> None:
        self._create = create
        self._body = chat_request if vendor == "openai" else messages_request
        self._is_sync = sync

    async def ask(self, text: str, *, stream: bool) -> None:
        """Ask, and read a stream to its end. What the client raises is not of interest."""
        call = partial(self._create, **self._body(text, **({"stream": True} if stream else {})))
        await (anyio.to_thread.run_sync(_read, call) if self._is_sync else _read_async(call))


def _read(call: Any) -> None:
    try:
        answer = call()
        if hasattr(answer, "__enter__"):
            with answer:
                for _ in answer:
                    pass
    except Exception:
        return


async def _read_async(call: Any) -> None:
    try:
        answer = await call()
        if hasattr(answer, "__aenter__"):
            async with answer:
                async for _ in answer:
                    pass
    except Exception:
        return


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.BaseTransport]:
    """The connections that clients open from now on."""
    found: list[asyncio.BaseTransport] = []
    connection_made = HTTPProtocol.connection_made

    def note(protocol: HTTPProtocol, transport: Any) -> None:
        found.append(transport)
        connection_made(protocol, transport)

    monkeypatch.setattr(HTTPProtocol, "connection_made", note)
    return found


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("vendor", KINDS)
@pytest.mark.parametrize(("name", "stream"), ROWS)
async def test_a_broken_connection_is_not_used_again(
    opened: list[asyncio.BaseTransport],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    vendor: str,
    *,
    stream: bool,
    sync: bool,
) -> None:
    row = (STREAMS if stream else WHOLE)[name]
    kind: Any = KINDS[vendor][not sync]
    monkeypatch.setattr(kind, "_calculate_retry_timeout", lambda *args: 0.0)
    mocks = [
        {"match": {"user": "fails"}} | row.mock,
        {"match": {"user": "works"}, "reply": "Hello"},
    ]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncServer({"mocks": mocks}))
        url = server.openai_base_url if vendor == "openai" else server.anthropic_base_url
        client = kind(base_url=url, api_key="any", max_retries=1)
        if sync:
            stack.enter_context(client)
        else:
            await stack.enter_async_context(client)
        create = client.chat.completions if vendor == "openai" else client.messages
        asking = Asking(create.create, vendor, sync=sync)

        await asking.ask("works", stream=False)
        await asking.ask("fails", stream=stream)
        await asking.ask("works", stream=False)

        statuses = [call.status for call in server.calls]
    assert (len(statuses), len(opened)) == (row.requests + 2, row.connections)
    assert (statuses[0], statuses[-1]) == (200, 200)
