"""What the helpers of the official clients make of streams that go wrong, `stream()` instead of
`create(stream=True)`, and what the exceptions of errors inside a stream say. Sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest

from tests.serve.test_faults_of_clients import NOTHING, STREAMS
from tests.support.client_faults import TEXT, WITH_WORDS, Clients, Row, clients

pytestmark = pytest.mark.anyio


class Found(NamedTuple):
    """What a helper has in the end: an exception with its text, else the whole message: its words,
    and why the model stopped."""

    error: str | None = None
    message: str = ""
    words: str = ""
    reason: str | None = None


NO_COMPLETED = Found("RuntimeError", "Didn't receive a `response.completed` event.")
NO_CREATED = "Expected to have received `response.created` before `{}`"
NO_MESSAGE = Found("AssertionError")
PARTIAL = Found(words="Hello")
EMPTY = (NO_MESSAGE, NO_COMPLETED, NO_MESSAGE)
CUT = Found("APIConnectionError", "Connection error.")

HEAD = {"after": "head"}
FAILED_RESPONSE = (
    'event: response.failed\ndata: {"type": "response.failed", "sequence_number": 0, "response": '
    '{"id": "r", "object": "response", "status": "failed", "output": [], "error": '
    '{"code": "server_error", "message": "m"}}}\n\n'
)
OWN: dict[str, Row] = {
    "a ping before everything": Row(
        {"send": 'event: ping\ndata: {"type": "ping"}\n\n'} | HEAD, NOTHING, NOTHING, TEXT
    ),
    "a flat error before everything": Row(
        {"send": 'event: error\ndata: {"type": "error", "code": "c", "message": "m"}\n\n'} | HEAD,
        NOTHING,
        NOTHING,
        TEXT,
    ),
    "an answer that is incomplete": Row(
        None, NOTHING, NOTHING, TEXT, mock={"reply": {"text": TEXT, "finish": "length"}}
    ),
    "a failed response alone": Row(
        [{"send": FAILED_RESPONSE} | HEAD, {"end": "clean"} | HEAD], NOTHING, NOTHING, ""
    ),
}
"""Rows that only helpers tell apart."""

HELPERS: dict[str, tuple[Found, Found, Found]] = {
    "FIN after the head": (CUT, CUT, Found("RemoteProtocolError")),
    "FIN between events": (CUT, CUT, Found("RemoteProtocolError")),
    "RST between events": (CUT, CUT, Found("ReadError")),
    "a clean end between events": (PARTIAL, NO_COMPLETED, PARTIAL),
    "a clean end inside an event": (PARTIAL, NO_COMPLETED, PARTIAL),
    "all but the end": (
        Found(words=TEXT, reason="stop"),
        NO_COMPLETED,
        Found(words=TEXT, reason="end_turn"),
    ),
    "an empty stream": EMPTY,
    "only [DONE]": EMPTY,
    "only comments": EMPTY,
    "JSON": EMPTY,
    "HTML": EMPTY,
    "the body of an error": EMPTY,
    "no content": EMPTY,
    "a ping before everything": (
        Found(words=TEXT, reason="stop"),
        Found("RuntimeError", NO_CREATED.format("ping")),
        Found(words=TEXT, reason="end_turn"),
    ),
    "a flat error before everything": (
        Found(words=TEXT, reason="stop"),
        Found("RuntimeError", NO_CREATED.format("error")),
        Found("APIStatusError", "{'type': 'error', 'code': 'c', 'message': 'm'}"),
    ),
    "an answer that is incomplete": (
        Found("LengthFinishReasonError"),
        NO_COMPLETED,
        Found(words=TEXT, reason="max_tokens"),
    ),
    "a failed response alone": (
        NO_MESSAGE,
        Found("RuntimeError", NO_CREATED.format("response.failed")),
        NO_MESSAGE,
    ),
}
"""What the helpers of Chat Completions, of Responses and of Messages have in the end."""

ROWS = {name: (STREAMS | OWN)[name] for name in HELPERS}
ERRORS = {
    name: STREAMS[name]
    for name in (
        "an error as the first event",
        "an error in the middle",
        "an error that is a text",
        "an error that is no JSON",
    )
}


@pytest.fixture(scope="module", params=["sync", "async"])
async def asking(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    tables = {"stream": ROWS | ERRORS}
    async with clients(tables, sync=request.param == "sync") as found:
        yield found


def _helper(asking: Clients, api: str) -> Any:
    return {
        "chat": asking.openai.chat.completions.stream,
        "responses": asking.openai.responses.stream,
        "messages": asking.anthropic.messages.stream,
    }[api]


def _said(api: str, final: Any) -> Found:
    """The words of a whole message, and why it ends."""
    if api == "chat":
        (choice,) = final.choices
        return Found(words=choice.message.content, reason=choice.finish_reason)
    if api == "responses":
        return Found(words=final.output_text, reason=final.status)
    return Found(words=final.content[0].text, reason=final.stop_reason)


def _final(api: str, stream: Any) -> Any:
    names = {"chat": "completion", "responses": "response", "messages": "message"}
    return getattr(stream, f"get_final_{names[api]}")()


@pytest.mark.parametrize("api", WITH_WORDS)
@pytest.mark.parametrize("name", HELPERS)
async def test_a_helper_meets_a_stream_that_goes_wrong(
    asking: Clients, name: str, api: str
) -> None:
    found: list[Found] = []

    def ask(**body: Any) -> Any:
        with _helper(asking, api)(**body) as stream:
            found.append(_said(api, _final(api, stream)))

    async def ask_async(**body: Any) -> None:
        async with _helper(asking, api)(**body) as stream:
            found.append(_said(api, await _final(api, stream)))

    call = ask if asking.is_sync else ask_async
    error, requests = await asking.raised(api, name, ROWS[name], call)
    if error is not None:
        expected_text = HELPERS[name][WITH_WORDS.index(api)].message
        found.append(Found(type(error).__name__, str(error) if expected_text else ""))

    assert found == [HELPERS[name][WITH_WORDS.index(api)]]
    assert requests == 1


OVERLOADED = "Our servers are currently overloaded. Please try again later."
UNKNOWN = "An error occurred during streaming"


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(
    ("name", "message", "code", "kind"),
    [
        ("an error as the first event", OVERLOADED, "server_is_overloaded", True),
        ("an error in the middle", OVERLOADED, "server_is_overloaded", True),
        ("an error that is a text", UNKNOWN, None, False),
    ],
)
async def test_the_exception_of_openai_says_what_the_event_said(
    asking: Clients, api: str, name: str, message: str, code: str | None, kind: bool
) -> None:
    events: list[Any] = []
    create = {"chat": asking.openai.chat.completions, "responses": asking.openai.responses}[api]

    error, _ = await asking.raised(
        api, name, ERRORS[name], partial(create.create, stream=True), events.append
    )

    assert type(error) is openai_sdk.APIError
    assert error.message == message
    assert (error.code, error.param) == (code, None)
    assert error.type == ("service_unavailable_error" if kind else None)
    assert not hasattr(error, "status_code")
    assert not hasattr(error, "request_id")
    if api == "responses":
        assert "response.failed" not in {event.type for event in events}


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("an error as the first event", "overloaded_error", "Overloaded"),
        ("an error in the middle", "overloaded_error", "Overloaded"),
        ("an error that is no JSON", None, None),
    ],
)
async def test_the_exception_of_anthropic_says_what_the_event_said(
    asking: Clients, name: str, kind: str | None, message: str | None
) -> None:
    create = partial(asking.anthropic.messages.create, stream=True)

    error, _ = await asking.raised("messages", name, ERRORS[name], create)

    assert type(error) is anthropic_sdk.APIStatusError
    assert error.status_code == 200
    assert (error.type, error.api_message) == (kind, message)
    assert error.request_id
    if kind is None:
        assert error.message == "Out of order"
    else:
        assert error.body["error"]["details"] is None  # type: ignore[index]  # of any shape
