"""Whether the official clients ask next on the connection of an answer that went wrong, row by row
of the faults that they meet. It is used again after an answer that was read to its end, and never
after one whose `end` closes it.

The facts are those of openai 3.54.0 and anthropic 2.12.0, sync and async.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.serve.test_faults_of_clients import EMBEDDINGS, NOTHING, STREAMS, WHOLE
from tests.support.client_faults import (
    LONG,
    TEXT,
    WITH_WORDS,
    Row,
    body_of,
    config,
    create_of,
    play,
    play_async,
    timeout_of,
)

pytestmark = pytest.mark.anyio

STALLED = 0.3  # seconds that a client waits for a byte that never comes
NAME = "all is well"
FINE = {NAME: Row(None, NOTHING, NOTHING, TEXT)}
PACED = {"reply": TEXT, "latency": {"ttft": "1ms", "itl": "1ms"}}
REFUSED = {"error": {"status": 400, "headers": {"retry-after-ms": "1"}}}
TABLES = {
    "stream": STREAMS | FINE | {"a pace": Row(None, NOTHING, NOTHING, TEXT, mock=PACED)},
    "whole": WHOLE | FINE | {"an error": Row(None, NOTHING, NOTHING, "", mock=REFUSED)},
    "embeddings": EMBEDDINGS | FINE,
}
ROWS = [
    (form, name)
    for form, table in TABLES.items()
    for name in table
    if name != "comments while nothing is said for longer than the timeout"  # as other comments
]

ALL = frozenset(WITH_WORDS)
AGAIN: dict[tuple[str, str], frozenset[str]] = {
    **dict.fromkeys(
        [
            ("stream", NAME),
            ("stream", "a pace"),
            ("stream", "a clean end between events"),
            ("stream", "a clean end inside an event"),
            ("stream", "an empty stream"),
            ("stream", "all but the end"),
            ("stream", "comments"),
            ("stream", "only comments"),
            ("stream", "only [DONE]"),
            ("stream", "JSON"),
            ("stream", "HTML"),
            ("stream", "the body of an error"),
            ("stream", "no content"),
            ("stream", "another content type"),
            ("stream", "a failed response"),
            ("stream", "a ping"),
            ("whole", NAME),
            ("whole", "an error"),
            ("whole", "broken JSON"),
            ("whole", "an empty body"),
            ("whole", "an error in the middle"),  # which is the answer
        ],
        ALL,
    ),
    # the others raise what the event says, and read no further
    ("stream", "an error without a name"): frozenset({"messages"}),
    ("stream", "an error that is a text"): frozenset({"messages"}),
    ("stream", "a flat error"): frozenset({"chat", "responses"}),
    **dict.fromkeys(
        [("embeddings", name) for name in (NAME, "broken JSON", "an empty body")],
        frozenset({"embeddings"}),
    ),
}
"""The answers whose connection is used again, and by the clients of which APIs."""

UNREAD: dict[str, frozenset[str]] = {
    name: frozenset({"chat"})
    for name in (
        *(NAME, "a pace", "comments", "another content type", "a failed response", "a ping"),
        "a flat error",
    )
} | {"only [DONE]": frozenset({"chat", "responses"})}
"""The streams of which OpenAI's sync client reads nothing behind ``[DONE]``, and so closes the
connection."""


def expected(form: str, name: str, *, sync: bool) -> frozenset[str]:
    """The APIs whose client uses the connection again."""
    found = AGAIN.get((form, name), frozenset())
    return found - UNREAD.get(name, frozenset()) if sync and form == "stream" else found


class Client:
    """A client of an API, with one connection at a time."""

    def __init__(self, api: str, client: Any, *, sync: bool) -> None:
        self._api = api
        self._is_sync = sync
        self.client = client
        self._create = create_of(api, client, client)

    async def uses_again(self, form: str, name: str) -> bool:
        """Whether a request after the row comes on the connection of the request before it."""
        before = await self._port()
        body = body_of(self._api, name) | {
            "timeout": timeout_of(self._api, STALLED if TABLES[form][name].stalls else LONG)
        }
        call = partial(self._create, **({"stream": True} if form == "stream" else {}))
        await self._run(
            partial(play, call, body, _ignore), partial(play_async, call, body, _ignore)
        )
        return await self._port() == before

    async def _port(self) -> int:
        """The client's own port of the connection on which a request is answered."""
        raw = create_of(self._api, *(_Raw(self.client),) * 2)
        call = partial(raw, **body_of(self._api, NAME))
        answer = await self._run(call, call)
        assert answer.http_response.status_code == 200
        stream = answer.http_response.extensions["network_stream"]
        return int(stream.get_extra_info("client_addr")[1])

    async def _run(self, sync: Any, asynchronous: Any) -> Any:
        return await (anyio.to_thread.run_sync(sync) if self._is_sync else asynchronous())


class _Raw:
    """The paths of a client to calls whose answers are not parsed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return found.with_raw_response if hasattr(found, "with_raw_response") else _Raw(found)


def _ignore(event: Any) -> None:
    """Read an event."""


@pytest.fixture(scope="module", params=["sync", "async"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Client]]:
    sync = request.param == "sync"
    kinds: Any = (OpenAI, Anthropic) if sync else (AsyncOpenAI, AsyncAnthropic)
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            patch.setattr(kind, "_calculate_retry_timeout", lambda *args: 0.0)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(AsyncServer(config(TABLES), drain_timeout=0.0))
            found: dict[str, Client] = {}
            for api in (*WITH_WORDS, "embeddings"):
                kind = kinds[api == "messages"]
                url = server.anthropic_base_url if api == "messages" else server.openai_base_url
                client = kind(base_url=url, api_key="any", max_retries=1)
                if sync:
                    stack.enter_context(client)
                else:
                    await stack.enter_async_context(client)
                found[api] = Client(api, client, sync=sync)
            yield found


@pytest.mark.parametrize(("form", "name"), ROWS, ids=[f"{form}: {name}" for form, name in ROWS])
async def test_a_connection_is_used_again_or_not(
    clients: dict[str, Client], form: str, name: str, request: pytest.FixtureRequest
) -> None:
    found: set[str] = set()

    async def ask(api: str) -> None:
        if await clients[api].uses_again(form, name):
            found.add(api)

    async with anyio.create_task_group() as tasks:
        for api in ("embeddings",) if form == "embeddings" else WITH_WORDS:
            tasks.start_soon(ask, api)

    sync = request.node.callspec.params["clients"] == "sync"
    assert found == expected(form, name, sync=sync)
