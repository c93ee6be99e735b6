"""Every kind of fault at every place, in whole answers and in streams of all APIs with words: which
bytes go over the wire, and how the connection ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mockllm import AsyncServer
from tests.support.http.answers import Answer, read_answers
from tests.support.http.peer import Peer
from tests.support.served import (
    ANTHROPIC_HEADERS,
    OPENAI_HEADERS,
    PATIENCE,
    chat_request,
    http_request,
    messages_request,
    port_of,
    responses_request,
)

pytestmark = pytest.mark.anyio

APIS = {
    "chat": ("/v1/chat/completions", OPENAI_HEADERS, chat_request),
    "responses": ("/v1/responses", OPENAI_HEADERS, responses_request),
    "messages": ("/v1/messages", ANTHROPIC_HEADERS, messages_request),
}
FORMS = [(api, stream) for api in APIS for stream in (True, False)]

ANSWER = {
    "text": "Hello world, how are you?",
    "tool_calls": [{"name": "look", "arguments": {"city": "Paris", "days": 3}, "id": "call_1"}],
}
FINISH = {
    "chat": b'finish_reason":"',
    "responses": b"response.completed",
    "messages": b'"message_delta"',
}
END = {"chat": b"[DONE]", "responses": b"response.completed", "messages": b"message_stop"}


class Place(NamedTuple):
    """A place, and what an answer up to it says and does not say. What streams alone have is not in
    a whole answer."""

    after: Any
    said: tuple[bytes, ...] = ()
    unsaid: tuple[bytes, ...] = ()
    in_whole: bool = True


PLACES: dict[str, Place] = {
    "start": Place(None, unsaid=(b"{",)),
    "head": Place("head", unsaid=(b"{",)),
    "first_token": Place("first_token", (b"Hell",), (b"world",)),
    "tokens": Place({"tokens": 3}, (b"world",), (b"are you",)),
    "tool_arguments": Place("tool_arguments", (b"are you", b"city"), (b"days",)),
    "before_finish": Place("before_finish", (b"are you", b"days")),
    "before_end": Place("before_end", (b"are you", b"days")),
    "bytes": Place({"bytes": 10}),
    "events": Place({"events": 2}, unsaid=(b"world",), in_whole=False),
    "event": Place({"event": "", "nth": 1}, unsaid=(b"days",), in_whole=False),
}
EVENTS = {"responses": "response.output_text.delta", "messages": "content_block_delta"}

KINDS: dict[str, dict[str, Any]] = {
    "cut": {"end": "cut"},
    "cut inside": {"end": "cut", "inside": True},
    "reset": {"end": "reset"},
    "reset inside": {"end": "reset", "inside": True},
    "clean": {"end": "clean"},
    "clean inside": {"end": "clean", "inside": True},
    "hang": {"end": "hang"},
    "hang inside": {"end": "hang", "inside": True},
    "pause": {"pause": "1ms"},
    "send": {"send": "nonsense"},
    "error": {"error": "overloaded"},
    "hold": {"hold": ""},
}
POSSIBLE = [
    (kind, place)
    for kind, words in KINDS.items()
    for place in PLACES
    if (place, words.get("end")) != ("start", "clean")  # it ends a body
]


def _fault(kind: str, place: str, api: str) -> dict[str, Any]:
    after = PLACES[place].after
    if place == "event":
        after = after | {"event": EVENTS[api]}
    words = {"hold": place} if kind == "hold" else KINDS[kind]
    return words if after is None else words | {"after": after}


def _config() -> dict[str, Any]:
    mocks = [
        {
            "match": {"headers": [{"name": "x-case", "value": f"{kind} {place}"}], "api": api},
            "reply": ANSWER,
            "fault": _fault(kind, place, api),
        }
        for kind, place in POSSIBLE
        for api in APIS
        if place != "event" or api in EVENTS
    ]
    return {"mocks": [*mocks, {"reply": ANSWER}]}


def _shape(body: bytes) -> bytes:
    """A body without the ids and times in it, whose letters and digits differ each time."""
    return bytes(120 if chr(byte).isalnum() else byte for byte in body)  # x


def _sent(data: bytes | bytearray) -> list[Answer]:
    """The answer of which `data` is the beginning, with what has come of its last chunk; none as
    long as its head has not come."""
    if b"\r\n\r\n" not in data:
        return []
    data = bytes(data)
    (answer, *_) = read_answers(data)
    if answer.whole or "content-length" in answer.headers:
        return [answer]
    rest = data.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return [replace(answer, body=body)]


class Wire:
    """A server with a mock for each kind at each place, and the answers without a fault."""

    def __init__(self, server: AsyncServer) -> None:
        self.server = server
        self.plain: dict[tuple[str, bool], bytes] = {}

    async def ask(self, case: str, api: str, *, stream: bool) -> Peer:
        """A client that has sent a request, and one behind it whose answer is the last."""
        path, headers, request = APIS[api]
        peer = await Peer.connect(port_of(self.server.base_url))
        body = request("Hello", stream=stream)
        peer.send(http_request(path, body, headers | {"x-case": case}))
        last = {"connection": "close"}
        peer.send(http_request("/health", {}, last, method="GET"))
        return peer

    async def length(self, case: str, api: str, *, stream: bool) -> int:
        """The number of bytes of a body that is cut."""
        peer = await self.ask(case, api, stream=stream)
        (answer,) = _sent(await peer.read_all())
        return len(answer.body)

    async def answers(self, case: str, api: str, *, stream: bool) -> list[Answer]:
        """What a client gets until the connection ends."""
        peer = await self.ask(case, api, stream=stream)
        return read_answers(await peer.read_all())


@pytest.fixture(scope="module")
async def wire() -> AsyncIterator[Wire]:
    async with AsyncServer(_config(), drain_timeout=0.0) as server:
        found = Wire(server)
        for api, stream in FORMS:
            plain, _ = await found.answers("plain", api, stream=stream)
            found.plain[api, stream] = plain.body
        yield found


def _forms(place: str) -> list[tuple[str, bool]]:
    """The APIs whose answers have the place, whole or as streams."""
    return [
        (api, stream)
        for api, stream in FORMS
        if (stream or PLACES[place].in_whole) and (place != "event" or api in EVENTS)
    ]


def _expect_up_to(wire: Wire, place: str, api: str, stream: bool, body: bytes) -> None:
    """Check that `body` is the answer up to a place."""
    plain = wire.plain[api, stream]
    assert _shape(plain).startswith(_shape(body))
    assert len(body) < len(plain)
    if PLACES[place].after in (None, "head"):
        assert body == b""
    words = body.replace(b"\\", b"")
    if not stream:
        assert all(word in words for word in PLACES[place].said)
        return
    said = words
    if api == "responses":  # which says everything again when a part is done
        said = words.partition(b"event: response.output_text.done")[0]
        words = said if place in ("first_token", "tokens") else words
    assert not any(word in words for word in PLACES[place].unsaid)
    if place in ("tool_arguments", "before_finish"):
        assert FINISH[api] not in words
    if place == "before_end":
        assert END[api] not in words


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["cut", "cut inside", "reset", "reset inside"])
async def test_a_connection_ends_at_a_place(wire: Wire, kind: str, place: str) -> None:
    for api, stream in _forms(place):
        peer = await wire.ask(f"{kind} {place}", api, stream=stream)
        data = await peer.read_all()

        assert peer.was_reset is kind.startswith("reset")
        if place == "start":
            assert data == b"" if kind in ("cut", "reset") else data.startswith(b"HTTP/1.1 200 ")
            assert b"\r\n\r\n" not in data
            continue
        (answer,) = _sent(data)
        assert (answer.status, answer.whole) == (200, False)
        assert not (stream and data.endswith(b"\n0\r\n\r\n"))
        if "inside" not in kind:
            _expect_up_to(wire, place, api, stream, answer.body)
        else:
            assert 0 < len(answer.body) < len(wire.plain[api, stream])


@pytest.mark.parametrize("place", [name for name in PLACES if name != "start"])
@pytest.mark.parametrize("kind", ["clean", "clean inside"])
async def test_a_body_ends_at_a_place(wire: Wire, kind: str, place: str) -> None:
    for api, stream in _forms(place):
        answer, after = await wire.answers(f"{kind} {place}", api, stream=stream)

        assert (answer.status, answer.whole, after.status) == (200, True, 200)
        if "inside" not in kind:
            _expect_up_to(wire, place, api, stream, answer.body)
        else:
            assert 0 < len(answer.body) < len(wire.plain[api, stream])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["hang", "hang inside"])
async def test_nothing_more_is_sent_from_a_place(wire: Wire, kind: str, place: str) -> None:
    for api, stream in _forms(place):
        wire.server.clear_calls()
        peer = await wire.ask(f"{kind} {place}", api, stream=stream)
        with anyio.fail_after(PATIENCE):
            while not (calls := wire.server.calls):
                await checkpoint()  # an answer that hangs is over
        assert [call.delivery for call in calls] == ["hang"]

        if place == "start":
            assert b"\r\n\r\n" not in peer.received
        else:
            end = await wire.length(f"{kind} {place}".replace("hang", "cut"), api, stream=stream)
            with anyio.fail_after(PATIENCE):
                while not (answers := _sent(peer.received)) or len(answers[0].body) < end:
                    await checkpoint()
            await wire.answers("plain", api, stream=stream)
            (answer,) = _sent(peer.received)
            assert (answer.status, answer.whole, len(answer.body)) == (200, False, end)
        assert not peer.ended.is_set()
        peer.reset()


@pytest.mark.parametrize("place", PLACES)
async def test_a_pause_at_a_place_changes_no_byte(wire: Wire, place: str) -> None:
    for api, stream in _forms(place):
        answer, after = await wire.answers(f"pause {place}", api, stream=stream)

        assert (answer.status, answer.whole, after.status) == (200, True, 200)
        assert _shape(answer.body) == _shape(wire.plain[api, stream])


@pytest.mark.parametrize("place", PLACES)
async def test_something_is_sent_at_a_place(wire: Wire, place: str) -> None:
    for api, stream in _forms(place):
        peer = await wire.ask(f"send {place}", api, stream=stream)
        data = await peer.read_all()
        if place == "start":
            assert data.startswith(b"nonsenseHTTP/1.1 200 ")
            data = data.removeprefix(b"nonsense")
        answer, after = read_answers(data)

        assert (answer.status, answer.whole, after.status) == (200, True, 200)
        body, found, rest = answer.body.partition(b"nonsense")
        assert bool(found) is (place != "start")
        assert _shape(body + rest) == _shape(wire.plain[api, stream])
        if place != "start":
            _expect_up_to(wire, place, api, stream, body)


@pytest.mark.parametrize("place", PLACES)
async def test_an_error_comes_at_a_place(wire: Wire, place: str) -> None:
    for api, stream in _forms(place):
        answer, after = await wire.answers(f"error {place}", api, stream=stream)

        assert (answer.whole, after.status) == (True, 200)
        assert b"overloaded" in answer.body
        if not stream or place == "start":
            assert answer.status == (529 if api == "messages" else 503)
            continue
        assert answer.status == 200
        mark = {"chat": b'data: {"error"', "responses": b"event: error", "messages": b"event: err"}
        body, found, rest = answer.body.partition(mark[api])
        assert found
        assert (b"response.failed" in rest) is (api == "responses")
        _expect_up_to(wire, place, api, stream, body)


@pytest.mark.parametrize("place", PLACES)
async def test_an_answer_is_held_at_a_place(wire: Wire, place: str) -> None:
    gate = wire.server.gate(place)
    for api, stream in _forms(place):
        peer = await wire.ask(f"hold {place}", api, stream=stream)
        with anyio.fail_after(PATIENCE):
            while not gate.held:
                await checkpoint()
        if place != "start":
            end = await wire.length(f"cut {place}", api, stream=stream)
            with anyio.fail_after(PATIENCE):
                while not (answers := _sent(peer.received)) or len(answers[0].body) < end:
                    await checkpoint()
            assert [len(each.body) for each in _sent(peer.received)] == [end]
        else:
            assert peer.received == b""
        gate.release()
        answer, after = read_answers(await peer.read_all())

        assert (answer.status, answer.whole, after.status) == (200, True, 200)
        assert _shape(answer.body) == _shape(wire.plain[api, stream])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "error"])
@pytest.mark.parametrize("place", ["events", "event"])
async def test_a_whole_answer_has_no_events(wire: Wire, kind: str, place: str) -> None:
    for api in APIS if place == "events" else EVENTS:
        answer, after = await wire.answers(f"{kind} {place}", api, stream=False)

        assert (answer.status, after.status) == (500, 200)
        assert b"the answer is not a stream and has no events" in answer.body
