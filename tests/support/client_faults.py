"""Answers that go wrong, as the official clients meet them: a server with a mock for each row of a
table, and clients of both vendors, sync or async, that ask it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import anthropic as anthropic_sdk
import anyio
import anyio.to_thread
import openai as openai_sdk
from anthropic import Anthropic, AsyncAnthropic
from anyio.lowlevel import checkpoint
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.support.served import (
    PATIENCE,
    chat_request,
    embeddings_request,
    messages_request,
    responses_request,
)

STALL = "10m"  # on a busy machine a client may look much later than it would; the test ends before
SHORT, LONG = 2.0, 30.0  # seconds that a client waits for a byte: of a stall, and of others
TEXT = "Hello world, how are you?"
AT_ONCE = {"retry-after-ms": "1"}
WITH_WORDS = ("chat", "responses", "messages")
"""The APIs of a model that says something."""

Fault = dict[str, Any] | list[dict[str, Any]]
Raised = tuple[str | None, str | None]
"""An exception and its cause by name."""


class Outcome(NamedTuple):
    """What a client did: the exception and its cause by name, the words it had read, and the number
    of its requests."""

    error: str | None
    cause: str | None
    words: str
    requests: int


class Row(NamedTuple):
    """A fault, and what the clients of OpenAI and of Anthropic raise. `words` are read before.
    A fault that differs between APIs is a function of their names. `responses` is what clients of
    Responses raise, where it differs. `mock` has the answer, unless it is `TEXT`."""

    fault: Fault | Callable[[str], Fault] | None
    openai: Raised
    anthropic: Raised
    words: str
    requests: int = 1
    anthropic_words: str | None = None
    responses: Raised | None = None
    mock: Mapping[str, Any] = MappingProxyType({"reply": TEXT, "headers": AT_ONCE})

    def fault_of(self, api: str) -> Fault | None:
        """The fault in an API."""
        return self.fault(api) if callable(self.fault) else self.fault

    @property
    def stalls(self) -> bool:
        """True if the clients wait for nothing."""
        found = self.fault_of("chat") or []
        faults = found if isinstance(found, list) else [found]
        return any(fault.get("end") == "hang" or "pause" in fault for fault in faults)

    @property
    def waits(self) -> bool:
        """True if the clients wait, for a byte or before they try again."""
        return self.stalls or self.requests > 1

    def expected(self, api: str) -> Outcome:
        """What a client of an API does."""
        raised = self.anthropic if api == "messages" else self.openai
        if api == "responses" and self.responses is not None:
            raised = self.responses
        words = self.words
        if api == "messages" and self.anthropic_words is not None:
            words = self.anthropic_words
        return Outcome(*raised, words, self.requests)


# --- Places ---------------------------------------------------------------------------------------

_DELTAS = {
    "chat": 'data: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", '
    '"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": null}]}\n\n',
    "responses": "event: response.output_text.delta\n"
    'data: {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", '
    '"output_index": 0, "content_index": 0, "delta": "Hello", "logprobs": []}\n\n',
    "messages": "event: content_block_delta\n"
    'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", '
    '"text": "Hello"}}\n\n',
}
_EVENTS = {"chat": 8, "responses": 13, "messages": 11}


def behind_everything(kind: str) -> Callable[[str], Fault]:
    """A fault behind the last event of the stream, which says `TEXT`."""
    return lambda api: {"end": kind, "after": {"events": _EVENTS[api]}}


def raw(head: str, body: str | Mapping[str, str] = "", kind: str = "cut") -> Callable[[str], Fault]:
    """Bytes that no mock sends by itself: an answer with the lines of a `head`, and its end."""
    lines = "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *head.split("; "), ""))

    def fault(api: str) -> Fault:
        data = body if isinstance(body, str) else body[api]
        return [{"send": lines + data}, {"end": kind}]

    return fault


def deltas(end: int | None = None) -> Mapping[str, str]:
    """A delta of each API that says ``Hello``, up to a byte of it."""
    return {api: delta[:end] for api, delta in _DELTAS.items()}


# --- Clients --------------------------------------------------------------------------------------

_Result = TypeVar("_Result")
Tables = Mapping[str, Mapping[str, Row]]
"""Rows by their names, for each form of an answer: ``stream``, ``whole``, ``embeddings``."""


class Clients:
    """A client of each vendor. Each asks in a session of its own each time."""

    def __init__(
        self, server: AsyncServer, tables: Tables, openai: Any, anthropic: Any, *, sync: bool
    ) -> None:
        self.openai = openai
        self.anthropic = anthropic
        self._server = server
        self._tables = tables
        self.is_sync = sync
        self._numbers = count()
        self._found: dict[tuple[str, str], dict[str, Outcome]] = {}

    async def outcomes(self, form: str, name: str) -> dict[str, Outcome]:
        """What the client of each API does with the answer of a row. All rows that take time are
        asked for at once, so that they take it once."""
        rows = [(form, name)]
        if self._tables[form][name].waits:
            rows = [
                (form, name)
                for form, table in self._tables.items()
                for name, row in table.items()
                if row.waits
            ]
        if (form, name) not in self._found:
            async with anyio.create_task_group() as tasks:
                for each in rows:
                    self._found[each] = {}
                    for api in WITH_WORDS if each[0] != "embeddings" else ("embeddings",):
                        tasks.start_soon(self._ask, *each, api)
        return self._found[form, name]

    async def _ask(self, form: str, name: str, api: str) -> None:
        words = [""]
        options = {"stream": True} if form == "stream" else {}
        call = partial(create_of(api, self.openai, self.anthropic), **options)
        row = self._tables[form][name]
        error, requests = await self.raised(api, name, row, call, lambda event: _note(event, words))
        self._found[form, name][api] = Outcome(*_named(error), words[0], requests)

    async def raised(
        self,
        api: str,
        name: str,
        row: Row,
        call: Callable[..., Any],
        note: Callable[[Any], None] = lambda event: None,
    ) -> tuple[Exception | None, int]:
        """What a call of the client raises, and the number of its requests. `note` is called with
        all events of a stream."""
        session = self._server.session(f"test-{next(self._numbers)}")
        body = body_of(api, name) | {
            "timeout": timeout_of(api, SHORT if row.stalls else LONG),
            "extra_headers": {"x-mockllm-session": session.name},
        }
        error = await self.run(
            partial(play, call, body, note), partial(play_async, call, body, note)
        )
        with anyio.fail_after(PATIENCE):
            while len(session.calls) < row.requests:  # the end of a stall is seen later
                await checkpoint()
        return error, len(session.calls)

    async def run(
        self, sync: Callable[[], _Result], asynchronous: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """Run what is meant for the kind of clients that these are."""
        return await (anyio.to_thread.run_sync(sync) if self.is_sync else asynchronous())


def play(call: Any, body: dict[str, Any], note: Callable[[Any], None]) -> Exception | None:
    try:
        answer = call(**body)
        if hasattr(answer, "__enter__"):
            with answer as events:
                for event in events:
                    note(event)
    except Exception as exc:
        return exc
    return None


async def play_async(
    call: Any, body: dict[str, Any], note: Callable[[Any], None]
) -> Exception | None:
    try:
        answer = call(**body)
        if not hasattr(answer, "__aenter__"):
            answer = await answer
        if hasattr(answer, "__aenter__"):
            async with answer as events:
                async for event in events:
                    note(event)
    except Exception as exc:
        return exc
    return None


@asynccontextmanager
async def clients(tables: Tables, *, sync: bool) -> AsyncIterator[Clients]:
    """Clients of a server with the mocks of `tables`."""
    options: dict[str, Any] = {"api_key": "any", "max_retries": 1}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncServer(config(tables), drain_timeout=0.0))
        urls = server.openai_base_url, server.anthropic_base_url
        if sync:
            openai: Any = stack.enter_context(OpenAI(base_url=urls[0], **options))
            anthropic: Any = stack.enter_context(Anthropic(base_url=urls[1], **options))
        else:
            openai = await stack.enter_async_context(AsyncOpenAI(base_url=urls[0], **options))
            anthropic = await stack.enter_async_context(AsyncAnthropic(base_url=urls[1], **options))
        yield Clients(server, tables, openai, anthropic, sync=sync)


def config(tables: Tables) -> dict[str, Any]:
    mocks = [
        {"match": {"user": name, "api": api, "stream": form == "stream"}} | _answer(row, api)
        for form, table in tables.items()
        for name, row in table.items()
        for api in WITH_WORDS
        if form != "embeddings"
    ]
    vectors = {"response": {"data": [{"embedding": [0.5] * 9}]}}
    embeddings = [
        {"match": {"input": name}} | vectors | _answer(row, "embeddings") | {"reply": None}
        for name, row in tables.get("embeddings", {}).items()
    ]
    for mock in embeddings:
        del mock["reply"]
        if "error" in mock:
            del mock["response"]
    return {"mocks": mocks, "openai_embeddings": embeddings}


def _answer(row: Row, api: str) -> dict[str, Any]:
    fault = row.fault_of(api)
    return {**row.mock} if fault is None else {**row.mock, "fault": fault}


def create_of(api: str, openai: Any, anthropic: Any) -> Any:
    """The call of the client of an API."""
    if api == "messages":
        return anthropic.messages.create
    resource = openai.chat.completions if api == "chat" else getattr(openai, api)
    return resource.create


def body_of(api: str, name: str) -> dict[str, Any]:
    """The request of a row in an API."""
    requests = {
        "chat": chat_request,
        "responses": responses_request,
        "embeddings": embeddings_request,
        "messages": messages_request,
    }
    return requests[api](name)


def timeout_of(api: str, seconds: float) -> Any:
    """The time that a client waits for a byte. To connect and to send, it has long enough."""
    sdk: Any = anthropic_sdk if api == "messages" else openai_sdk
    return sdk.Timeout(LONG, read=seconds)


def _note(event: Any, words: list[str]) -> None:
    """Note the words of the model in an event of any API."""
    if getattr(event, "choices", None):
        words[0] += event.choices[0].delta.content or ""
        return
    delta = getattr(event, "delta", None)
    words[0] += delta if isinstance(delta, str) else getattr(delta, "text", None) or ""


def _named(error: Exception | None) -> Raised:
    if error is None:
        return None, None
    cause = error.__cause__
    is_connection = isinstance(
        error, (openai_sdk.APIConnectionError, anthropic_sdk.APIConnectionError)
    )
    return type(error).__name__, type(cause).__name__ if is_connection else None
