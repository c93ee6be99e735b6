"""What the official clients make of each fault: the exception they raise, what they have read by
then, and whether they try again. Sync and async clients of both vendors, four APIs, one server.

The facts are those of openai 3.54.0 and anthropic 2.12.0, as measured against a raw socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.support.client_faults import (
    STALL,
    TEXT,
    WITH_WORDS,
    Clients,
    Row,
    behind_everything,
    clients,
    deltas,
    raw,
)

pytestmark = pytest.mark.anyio

CUT = {"end": "cut"}
FIRST = {"after": "first_token"}
SSE, JSON = "content-type: text/event-stream", "content-type: application/json"
CHUNKED = "transfer-encoding: chunked"
AN_ERROR = {"error": {"type": "overloaded_error", "message": "Overloaded"}, "type": "error"}


def _instead(body: Any, content_type: str | None = None) -> dict[str, Any]:
    """A mock whose answer is another body, with the status 200."""
    error = {"status": 200, "body": body}
    return {"error": error if content_type is None else error | {"content_type": content_type}}


def _in_a_chunk(events: Mapping[str, str]) -> dict[str, str]:
    """The beginning of a chunk of each API, which is longer than what is there."""
    return {api: f"fff\r\n{data}" for api, data in events.items()}


def _connection(cause: str) -> tuple[str, str]:
    return "APIConnectionError", cause


NOTHING = (None, None)
TIMED_OUT = ("APITimeoutError", "ReadTimeout")
CLOSED = _connection("RemoteProtocolError")
BROKEN = ("RemoteProtocolError", None)
WAS_RESET = _connection("ReadError")

STREAMS: dict[str, Row] = {
    # before the head: retried
    "FIN before any byte": Row(CUT, CLOSED, CLOSED, "", 2),
    "half a head": Row(CUT | {"inside": True}, CLOSED, CLOSED, "", 2),
    "garbage for a head": Row([{"send": "garbage\r\n\r\n"}, CUT], CLOSED, CLOSED, "", 2),
    "RST before any byte": Row({"end": "reset"}, WAS_RESET, WAS_RESET, "", 2),
    "a stall before the head": Row({"end": "hang"}, TIMED_OUT, TIMED_OUT, "", 2),
    # a stream that breaks: never retried
    "a length that is too long": Row(
        raw(f"{SSE}; content-length: 9999", deltas()), CLOSED, BROKEN, "Hello"
    ),
    "a bad size of a chunk": Row(raw(f"{SSE}; {CHUNKED}", "no size\r\n"), CLOSED, BROKEN, ""),
    "FIN inside a chunk": Row(
        raw(f"{SSE}; {CHUNKED}", _in_a_chunk(deltas())), CLOSED, BROKEN, "Hello"
    ),
    "FIN instead of the last chunk": Row(
        behind_everything("cut"), NOTHING, BROKEN, TEXT, responses=CLOSED
    ),
    "RST instead of the last chunk": Row(
        behind_everything("reset"), NOTHING, ("ReadError", None), TEXT, responses=WAS_RESET
    ),
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
    "the end of the connection between events": Row(raw(SSE, deltas()), NOTHING, NOTHING, "Hello"),
    "the end of the connection inside an event": Row(raw(SSE, deltas(60)), NOTHING, NOTHING, ""),
    "an empty stream": Row({"end": "clean", "after": "head"}, NOTHING, NOTHING, ""),
    "all but the end": Row({"end": "clean", "after": "before_end"}, NOTHING, NOTHING, TEXT),
    "comments": Row({"send": ": ping\n\n"} | FIRST, NOTHING, NOTHING, TEXT),
    "comments while nothing is said for longer than the timeout": Row(
        [{"send": ": ping\n\n"} | FIRST, {"pause": "700ms"} | FIRST] * 4, NOTHING, NOTHING, TEXT
    ),
    "only comments": Row(
        [{"send": ": ping\n\n", "after": "head"}, {"end": "clean", "after": "head"}],
        NOTHING,
        NOTHING,
        "",
    ),
    "only [DONE]": Row(
        [{"send": "data: [DONE]\n\n", "after": "head"}, {"end": "clean", "after": "head"}],
        NOTHING,
        NOTHING,
        "",
    ),
    "JSON": Row(None, NOTHING, NOTHING, "", mock=_instead({"id": "a"})),
    "HTML": Row(None, NOTHING, NOTHING, "", mock=_instead("<html>")),
    "the body of an error": Row(None, NOTHING, NOTHING, "", mock=_instead(AN_ERROR)),
    "no content": Row(None, NOTHING, NOTHING, "", mock={"error": {"status": 204}}),
    "another content type": Row(
        None,
        NOTHING,
        NOTHING,
        TEXT,
        mock={"reply": TEXT, "headers": {"content-type": "text/plain"}},
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
    "an error with a name": Row(
        {"send": 'event: error\ndata: {"error": {"message": "m"}}\n\n'} | FIRST,
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
    "a failed response": Row(
        {"send": 'event: response.failed\ndata: {"type": "response.failed"}\n\n'} | FIRST,
        NOTHING,
        NOTHING,
        TEXT,
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
    "a body whose length is too long": Row(
        raw(f"{JSON}; content-length: 9999", "{"), CLOSED, CLOSED, "", 2
    ),
    "a chunked body that is cut": Row(
        raw(f"{JSON}; {CHUNKED}", "1\r\n{\r\n"), CLOSED, CLOSED, "", 2
    ),
    "a body that ends with the connection": Row(
        raw(JSON, "{"), ("JSONDecodeError", None), ("JSONDecodeError", None), ""
    ),
    "an empty body": Row(
        None,
        ("JSONDecodeError", None),
        ("JSONDecodeError", None),
        "",
        mock=_instead("", "application/json"),
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


EMBEDDINGS: dict[str, Row] = {
    name: WHOLE[name]._replace(fault=fault)
    for name, fault in (
        ("FIN before any byte", CUT),
        ("RST before any byte", {"end": "reset"}),
        ("a stall before the head", {"end": "hang"}),
        ("a body that is cut", CUT | {"after": {"bytes": 20}}),
        ("a body that is reset", {"end": "reset", "after": {"bytes": 20}}),
        ("a body that stalls", {"end": "hang", "after": {"bytes": 20}}),
        ("broken JSON", {"end": "clean", "after": {"bytes": 20}}),
        ("a body whose length is too long", WHOLE["a body whose length is too long"].fault),
        ("a chunked body that is cut", WHOLE["a chunked body that is cut"].fault),
        (
            "a body that ends with the connection",
            WHOLE["a body that ends with the connection"].fault,
        ),
        ("an empty body", None),
    )
}
"""The same rows, of Embeddings, whose answers have no words."""


@pytest.fixture(scope="module", params=["sync", "async"])
async def asking(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    tables = {"stream": STREAMS, "whole": WHOLE, "embeddings": EMBEDDINGS}
    async with clients(tables, sync=request.param == "sync") as found:
        yield found


@pytest.mark.parametrize("name", STREAMS)
async def test_clients_meet_a_fault_in_a_stream(asking: Clients, name: str) -> None:
    found = await asking.outcomes("stream", name)

    assert found == {api: STREAMS[name].expected(api) for api in WITH_WORDS}


@pytest.mark.parametrize("name", WHOLE)
async def test_clients_meet_a_fault_in_a_whole_answer(asking: Clients, name: str) -> None:
    found = await asking.outcomes("whole", name)

    assert found == {api: WHOLE[name].expected(api) for api in WITH_WORDS}


@pytest.mark.parametrize("name", EMBEDDINGS)
async def test_clients_meet_a_fault_in_embeddings(asking: Clients, name: str) -> None:
    found = await asking.outcomes("embeddings", name)

    assert found == {"embeddings": EMBEDDINGS[name].expected("embeddings")}
