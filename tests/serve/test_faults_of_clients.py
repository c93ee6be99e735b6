"""What the official clients make of each fault: the exception they raise, what they have read by
then, and whether they try again. Sync and async clients of both vendors, three APIs, one server.

The facts are those of openai 3.54.0 and anthropic 2.12.0, as measured against a raw socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import anyio
import anyio.to_thread
import openai as openai_sdk
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anyio.lowlevel import checkpoint
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.support.served import PATIENCE, chat_request, messages_request, responses_request

pytestmark = pytest.mark.anyio

STALL = "10m"  # on a busy machine a client may look much later than it would; the test ends before
SHORT, LONG = 1.0, 30.0  # seconds that a client waits for a byte: of a stall, and of others
TEXT = "Hello world, how are you?"

AT_ONCE = {"retry-after-ms": "1"}

Fault = dict[str, Any] | list[dict[str, Any]]


class Outcome(NamedTuple):
    """What a client did: the exception and its cause by name, the words it had read, and the number
    of its requests."""

    error: str | None
    cause: str | None
    words: str
    requests: int


CUT = {"end": "cut"}
FIRST = {"after": "first_token"}


class Row(NamedTuple):
    """A fault, and what the clients of OpenAI and of Anthropic raise. `words` are read before."""

    fault: Fault
    openai: tuple[str | None, str | None]
    anthropic: tuple[str | None, str | None]
    words: str
    requests: int = 1
    anthropic_words: str | None = None

    @property
    def stalls(self) -> bool:
        """True if the clients wait for nothing."""
        faults = self.fault if isinstance(self.fault, list) else [self.fault]
        return any(fault.get("end") == "hang" or "pause" in fault for fault in faults)


def _connection(cause: str) -> tuple[str, str]:
    return "APIConnectionError", cause


NOTHING = (None, None)
TIMED_OUT = ("APITimeoutError", "ReadTimeout")
CLOSED = _connection("RemoteProtocolError")
WAS_RESET = _connection("ReadError")

STREAMS: dict[str, Row] = {
    # before the head: retried
    "FIN before any byte": Row(CUT, CLOSED, CLOSED, "", 2),
    "half a head": Row(CUT | {"inside": True}, CLOSED, CLOSED, "", 2),
    "garbage for a head": Row([{"send": "garbage\r\n\r\n"}, CUT], CLOSED, CLOSED, "", 2),
    "RST before any byte": Row({"end": "reset"}, WAS_RESET, WAS_RESET, "", 2),
    "a stall before the head": Row({"end": "hang"}, TIMED_OUT, TIMED_OUT, "", 2),
    # a stream that breaks: never retried
    "FIN after the head": Row(CUT | {"after": "head"}, CLOSED, ("RemoteProtocolError", None), ""),
    "FIN between events": Row(CUT | FIRST, CLOSED, ("RemoteProtocolError", None), "Hello"),
    "FIN inside an event": Row(
        CUT | FIRST | {"inside": True}, CLOSED, ("RemoteProtocolError", None), "Hello"
    ),
    "RST after the head": Row(
        {"end": "reset", "after": "head"}, WAS_RESET, ("ReadError", None), ""
    ),
    "RST between events": Row({"end": "reset"} | FIRST, WAS_RESET, ("ReadError", None), "Hello"),
    "RST inside an event": Row(
        {"end": "reset", "inside": True} | FIRST, WAS_RESET, ("ReadError", None), "Hello"
    ),
    "a stall after the head": Row(
        {"end": "hang", "after": "head"}, TIMED_OUT, ("ReadTimeout", None), ""
    ),
    "a stall between events": Row(
        {"pause": STALL} | FIRST, TIMED_OUT, ("ReadTimeout", None), "Hello"
    ),
    "a stall inside an event": Row(
        {"end": "hang", "inside": True} | FIRST, TIMED_OUT, ("ReadTimeout", None), "Hello"
    ),
    # silence
    "a clean end between events": Row({"end": "clean"} | FIRST, NOTHING, NOTHING, "Hello"),
    "a clean end inside an event": Row(
        {"end": "clean", "inside": True} | FIRST, NOTHING, NOTHING, "Hello"
    ),
    "an empty stream": Row({"end": "clean", "after": "head"}, NOTHING, NOTHING, ""),
    "all but the end": Row({"end": "clean", "after": "before_end"}, NOTHING, NOTHING, TEXT),
    "comments": Row({"send": ": ping\n\n"} | FIRST, NOTHING, NOTHING, TEXT),
    "only comments": Row(
        [{"send": ": ping\n\n", "after": "head"}, {"end": "clean", "after": "head"}],
        NOTHING,
        NOTHING,
        "",
    ),
    # broken events
    "malformed JSON": Row(
        {"send": "event: message_start\ndata: {broken\n\n"} | FIRST,
        ("JSONDecodeError", None),
        ("JSONDecodeError", None),
        "Hello",
    ),
    "invalid UTF-8": Row(
        {"send": {"hex": "64 61 74 61 3a 20 ff 0a 0a"}} | FIRST,
        ("UnicodeDecodeError", None),
        ("UnicodeDecodeError", None),
        "Hello",
    ),
    # errors of the service
    "an error as the first event": Row(
        {"error": "overloaded", "after": "head"}, ("APIError", None), ("APIStatusError", None), ""
    ),
    "an error in the middle": Row(
        {"error": "overloaded"} | FIRST, ("APIError", None), ("APIStatusError", None), "Hello"
    ),
    "an error and no end of the message": Row(
        [{"error": "rate_limit"} | FIRST, {"end": "reset"} | FIRST],
        ("APIError", None),
        ("APIStatusError", None),
        "Hello",
    ),
    "an error without a name": Row(
        {"send": 'data: {"error": {"message": "m"}}\n\n'} | FIRST,
        ("APIError", None),
        NOTHING,
        "Hello",
        anthropic_words=TEXT,
    ),
    "an error that is a text": Row(
        {"send": 'data: {"error": "m"}\n\n'} | FIRST,
        ("APIError", None),
        NOTHING,
        "Hello",
        anthropic_words=TEXT,
    ),
    "an error that is no JSON": Row(
        {"send": "event: error\ndata: Out of order\n\n"} | FIRST,
        ("JSONDecodeError", None),
        ("APIStatusError", None),
        "Hello",
    ),
    "a flat error": Row(
        {"send": 'event: error\ndata: {"type": "error", "code": "c", "message": "m"}\n\n'} | FIRST,
        NOTHING,
        ("APIStatusError", None),
        TEXT,
        anthropic_words="Hello",
    ),
    "a ping": Row(
        {"send": 'event: ping\ndata: {"type": "ping"}\n\n'} | FIRST, NOTHING, NOTHING, TEXT
    ),
}
"""The rows about streams."""

WHOLE: dict[str, Row] = {
    "FIN before any byte": STREAMS["FIN before any byte"],
    "RST before any byte": STREAMS["RST before any byte"],
    "a stall before the head": STREAMS["a stall before the head"],
    "a body that is cut": Row(CUT | FIRST, CLOSED, CLOSED, "", 2),
    "a body that is reset": Row({"end": "reset"} | FIRST, WAS_RESET, WAS_RESET, "", 2),
    "a body that stalls": Row({"end": "hang"} | FIRST, TIMED_OUT, TIMED_OUT, "", 2),
    "broken JSON": Row(
        {"end": "clean"} | FIRST, ("JSONDecodeError", None), ("JSONDecodeError", None), ""
    ),
    "an error in the middle": Row(
        {"error": {"as": "overloaded"}} | FIRST,
        ("InternalServerError", None),
        ("OverloadedError", None),
        "",
        2,
    ),
}
"""The rows about whole answers."""


def _config() -> dict[str, Any]:
    mocks = [
        {"name": f"{kind}: {name}", "match": {"user": name, "stream": kind == "stream"}}
        | {"reply": TEXT, "fault": row.fault, "headers": AT_ONCE}
        for kind, rows in (("stream", STREAMS), ("whole", WHOLE))
        for name, row in rows.items()
    ]
    return {"mocks": mocks}


Ask = Callable[[str, str, Row, bool], Awaitable[Outcome]]
"""``await ask(api, name, row, stream)``: what a client does with the answer of a mock."""


@pytest.fixture(scope="module", params=["sync", "async"])
async def ask(request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    """A client of each vendor, which asks in a session of its own each time."""
    options: dict[str, Any] = {"api_key": "any", "max_retries": 1}
    is_sync = request.param == "sync"
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncServer(_config(), drain_timeout=0.0))
        urls = server.openai_base_url, server.anthropic_base_url
        clients: Any
        if is_sync:
            clients = OpenAI(base_url=urls[0], **options), Anthropic(base_url=urls[1], **options)
            for client in clients:
                stack.enter_context(client)
        else:
            clients = (
                AsyncOpenAI(base_url=urls[0], **options),
                AsyncAnthropic(base_url=urls[1], **options),
            )
            for client in clients:
                await stack.enter_async_context(client)
        numbers = count()

        async def ask(api: str, name: str, row: Row, stream: bool) -> Outcome:
            session = server.session(f"test-{next(numbers)}")
            body = _body(api, name) | {
                "stream": stream,
                "timeout": _timeout(api, SHORT if row.stalls else LONG),
                "extra_headers": {"x-mockllm-session": session.name},
            }
            create = _create(api, *clients)
            if is_sync:
                found = await anyio.to_thread.run_sync(lambda: _read(create, body))
            else:
                found = await _read_async(create, body)
            with anyio.fail_after(PATIENCE):
                while len(session.calls) < row.requests:  # the end of a stall is seen later
                    await checkpoint()
            return Outcome(*found, len(session.calls))

        yield ask


def _read(create: Any, body: dict[str, Any]) -> tuple[str | None, str | None, str]:
    words = [""]
    try:
        answer = create(**body)
        if body["stream"]:
            with answer:
                for event in answer:
                    words[0] += _said(event)
    except Exception as exc:
        return (*_named(exc), words[0])
    return (None, None, words[0])


async def _read_async(create: Any, body: dict[str, Any]) -> tuple[str | None, str | None, str]:
    words = [""]
    try:
        answer = await create(**body)
        if body["stream"]:
            async with answer:
                async for event in answer:
                    words[0] += _said(event)
    except Exception as exc:
        return (*_named(exc), words[0])
    return (None, None, words[0])


def _create(api: str, openai: Any, anthropic: Any) -> Any:
    return {
        "chat": openai.chat.completions.create,
        "responses": openai.responses.create,
        "messages": anthropic.messages.create,
    }[api]


def _body(api: str, name: str) -> dict[str, Any]:
    requests = {
        "chat": chat_request,
        "responses": responses_request,
        "messages": messages_request,
    }
    return requests[api](name)


def _timeout(api: str, seconds: float) -> Any:
    """The time that a client waits for a byte. To connect and to send, it has long enough."""
    sdk: Any = anthropic_sdk if api == "messages" else openai_sdk
    return sdk.Timeout(LONG, read=seconds)


def _said(event: Any) -> str:
    """The words of the model in an event of any API."""
    if getattr(event, "choices", None):
        return event.choices[0].delta.content or ""
    delta = getattr(event, "delta", None)
    return delta if isinstance(delta, str) else getattr(delta, "text", None) or ""


def _named(error: Exception) -> tuple[str, str | None]:
    cause = error.__cause__
    is_of_sdk = isinstance(error, (openai_sdk.APIError, anthropic_sdk.APIError))
    is_connection = is_of_sdk and isinstance(
        error, (openai_sdk.APIConnectionError, anthropic_sdk.APIConnectionError)
    )
    return type(error).__name__, type(cause).__name__ if is_connection else None


def _expected(row: Row, api: str) -> Outcome:
    error, cause = row.anthropic if api == "messages" else row.openai
    words = row.words
    if api == "messages" and row.anthropic_words is not None:
        words = row.anthropic_words
    return Outcome(error, cause, words, row.requests)


APIS = ("chat", "responses", "messages")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", STREAMS)
async def test_a_client_meets_a_fault_in_a_stream(ask: Ask, name: str, api: str) -> None:
    assert await ask(api, name, STREAMS[name], True) == _expected(STREAMS[name], api)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", WHOLE)
async def test_a_client_meets_a_fault_in_a_whole_answer(ask: Ask, name: str, api: str) -> None:
    assert await ask(api, name, WHOLE[name], False) == _expected(WHOLE[name], api)
