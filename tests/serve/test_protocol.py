"""The bytes that a connection writes, on a transport that records them."""

from __future__ import annotations

import asyncio
import errno
import gzip
import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine.decision import Decision, Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load
from mockllm.exchange import Request, Step
from mockllm.http1.framing import CONTINUE
from mockllm.limits import MAX_SPEED, MIN_SPEED, Limits
from mockllm.observers.journal import Journal
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.phase import Phase
from mockllm.serve.protocol import HTTPProtocol
from mockllm.serve.timeouts import MAX_LINGER
from mockllm.wire.placeholders import FreshValues
from tests.support.apps import LoneApp
from tests.support.http.messages import (
    BODY,
    END,
    HELLO,
    asking,
    chunked,
    configuration,
    framed,
    get,
    post,
)
from tests.support.http.transport import Written

MESSAGES = [
    post(),
    post(body=asking("Hello", stream=True)),
    post("X-Id: 1", "Cookie: a=1", "Cookie: b=2"),
    post("X-Id: 2", "Cookie: c=3", "Cookie: d=4"),
    post("X-Id: caf\u00e9"),
    post("X-Tenant: a", body=asking("tenant")),
    post("X-Tenant: b", body=asking("tenant")),
    post("X-Tenant: b", "X-Tenant: a", body=asking("tenant")),
    post(body=asking("nothing like it")),
    post(body=b"{"),
    post(version="1.0"),
    post("Connection: keep-alive", version="1.0"),
    post("Connection: close"),
    post("Content-Encoding: gzip", body=gzip.compress(HELLO, mtime=0)),
    post("Expect: 100-continue"),
    framed("Content-Length: 5", "Transfer-Encoding: chunked"),
    framed("Content-Length: 999999999"),
    chunked(BODY, END),
    get(target="/ready"),
    get(target="/ready", method="HEAD"),
    get(target="/v1/unknown"),
    b"\r\n",
    b"nonsense\r\n\r\n",
]


class SameStamper:
    """Gives all answers the same stamps."""

    def next(self, now: float, took: float = 0.0) -> FreshValues:
        return FreshValues(b"0" * 20, b"1" * 10, b"2" * 29)


async def written(
    loaded: Loaded, connections: list[list[bytes]], *, reuse: bool
) -> list[tuple[bytes, list[str]]]:
    """The bytes that a service writes on each of `connections`, in turn, and how each ends. Whether
    it asks for a body with 100 Continue depends on how much has come when it looks, so on time: it
    is left out."""
    service = Service(App(Engine(loaded, reuse=reuse)))
    service.fresh_values = SameStamper()  # type: ignore[assignment]  # all that is called
    found = []
    for parts in connections:
        transport = Written()
        protocol = HTTPProtocol(service)
        protocol.connection_made(cast("Any", transport))
        for part in parts:
            protocol.data_received(part)
        while protocol.phase is Phase.ANSWERING:
            await checkpoint()
        await checkpoint()  # what waits is written
        protocol.connection_lost(None)
        found.append((transport.data.replace(CONTINUE, b""), transport.ends))
    return found


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(Config.from_dict(configuration()))


@st.composite
def conversations(draw: st.DrawFn) -> list[list[bytes]]:
    """Connections, each with pipelined messages that come in pieces."""
    found = []
    few = draw(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3))  # so that they repeat
    for messages in draw(st.lists(st.lists(st.sampled_from(few), max_size=4), max_size=4)):
        stream = b"".join(messages)
        starts = list(itertools.accumulate(map(len, messages), initial=0))
        bodies = [start + stream[start:].find(b"\r\n\r\n") + 4 for start in starts[:-1]]
        cuts = draw(st.sampled_from([starts, bodies, [], None]))
        if cuts is None:
            cuts = draw(st.lists(st.integers(0, len(stream))))
        places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
        found.append([stream[a:b] for a, b in itertools.pairwise(places)])
    return found


@settings(max_examples=300)
@given(conversations())
def test_reuse_changes_no_byte(loaded: Loaded, connections: list[list[bytes]]) -> None:
    async def both() -> tuple[object, object]:
        again = connections * 3  # a decision is kept the second time and used the third
        fresh = await written(loaded, again, reuse=False)
        return await written(loaded, again, reuse=True), fresh

    remembered, fresh = asyncio.run(both())

    assert remembered == fresh


@settings(max_examples=50)
@given(conversations())
def test_reuse_changes_no_byte_after_many_look_ups_in_vain(
    loaded: Loaded, connections: list[list[bytes]]
) -> None:
    async def both() -> tuple[object, object]:
        again = connections * 5
        fresh = await written(loaded, again, reuse=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mockllm.bounded_cache.PATIENCE", 2)
            patch.setattr("mockllm.bounded_cache.RARELY", 3)
            return await written(loaded, again, reuse=True), fresh

    remembered, fresh = asyncio.run(both())

    assert remembered == fresh


@settings(max_examples=200)
@given(conversations(), st.randoms(use_true_random=False))
def test_what_is_received_together_changes_no_byte(
    loaded: Loaded, connections: list[list[bytes]], random: Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.serve.outbox.MAX_LATE", 60.0)
        together = asyncio.run(written_together(loaded, connections, random))

    assert together == asyncio.run(written(loaded, connections, reuse=True))


async def written_together(
    loaded: Loaded, connections: list[list[bytes]], random: Random
) -> list[tuple[bytes, list[str]]]:
    """What `written` returns, if the loop receives from several connections in one iteration."""
    service = Service(App(Engine(loaded)))
    service.fresh_values = SameStamper()  # type: ignore[assignment]  # all that is called
    ends = [(HTTPProtocol(service), Written()) for _ in connections]
    for protocol, transport in ends:
        protocol.connection_made(cast("Any", transport))
    left = [iter(parts) for parts in connections]
    places = [place for place, parts in enumerate(connections) for _ in parts]
    random.shuffle(places)
    for place in places:
        ends[place][0].data_received(next(left[place]))
        if random.random() < 0.2:
            await checkpoint()
    for protocol, _ in ends:
        while protocol.phase is Phase.ANSWERING:
            await checkpoint()
    await checkpoint()  # what waits is written
    for protocol, _ in ends:
        protocol.connection_lost(None)
    return [(transport.data.replace(CONTINUE, b""), transport.ends) for _, transport in ends]


@pytest.mark.parametrize("message", MESSAGES)
def test_reuse_changes_no_byte_of_any_message(loaded: Loaded, message: bytes) -> None:
    connections = [[message]] * 4

    remembered = asyncio.run(written(loaded, connections, reuse=True))

    assert remembered == asyncio.run(written(loaded, connections, reuse=False))


@pytest.mark.parametrize("message", [*MESSAGES, get(target="/v1/models"), post("Origin: http://a")])
def test_no_header_is_padded(loaded: Loaded, message: bytes) -> None:
    data = asyncio.run(written_once(loaded, message))

    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    values = [line.partition(b": ")[2] for line in lines]
    assert [value for value in values if value != value.strip()] == []


async def written_once(loaded: Loaded, message: bytes) -> bytes:
    """The bytes that a service with real values writes for one message."""
    transport = Written()
    protocol = HTTPProtocol(Service(App(Engine(loaded))))
    protocol.connection_made(cast("Any", transport))
    protocol.data_received(message)
    while protocol.phase is Phase.ANSWERING:
        await checkpoint()
    protocol.connection_lost(None)
    return transport.data


# --- Bugs in an engine or an observer -------------------------------------------------------------


class Edited(LoneApp):
    """An app whose decisions are changed behind its back, as by a bug."""

    edit: Callable[[Decision], Decision]

    def decide(self, request: Request) -> Decision:
        return type(self).edit(super().decide(request))


def broken_head(decision: Decision) -> Decision:
    headers = ((b"x-a", b"line\nbreak"),)
    return decision._replace(reply=replace(decision.reply, headers=headers), ready=None)


def broken_stream(decision: Decision) -> Decision:
    steps = (*decision.reply.steps, Step((cast("bytes", 1),)))
    return decision._replace(reply=replace(decision.reply, steps=steps, streamed=True), ready=None)


async def conversation(
    service: Service, *parts: bytes, transport: Written | None = None
) -> Written:
    """The bytes written on one connection."""
    transport = transport or Written()
    protocol = HTTPProtocol(service)
    protocol.connection_made(cast("Any", transport))
    for part in parts:
        protocol.data_received(part)
        while protocol.phase is Phase.ANSWERING and not transport.is_closing():
            await checkpoint()
    await checkpoint()  # what waits is written
    protocol.connection_lost(None)
    return transport


def edited(loaded: Loaded, edit: Callable[[Decision], Decision]) -> Service:
    return Service(type("One", (Edited,), {"edit": staticmethod(edit)})(Engine(loaded)))


def test_an_unsendable_answer_ends_the_connection_and_is_logged(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    for edit in (broken_head, broken_stream):
        transport = asyncio.run(conversation(edited(loaded, edit), post()))
        assert transport.ends == ["abort"]

    told = [entry.getMessage() for entry in caplog.records]
    assert told == ["internal error sending an answer (openai[0])"] * 2


def test_a_failing_observer_is_logged_and_does_not_affect_clients(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Exchange] = []

    def fail(exchange: Exchange) -> None:
        raise ZeroDivisionError

    service = Service(App(Engine(loaded)), observers=(fail, seen.append))
    transport = asyncio.run(conversation(service, post(), post(), b"nonsense\r\n\r\n"))

    assert transport.data.count(b"HTTP/1.1 200") == 2
    assert transport.data.count(b"HTTP/1.1 400") == 1
    assert len(seen) == 3
    assert len(caplog.records) == 3


def test_a_failing_journal_does_not_disturb_the_client(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    journal = Journal()
    journal.listeners.add(fail)
    service = Service(App(Engine(loaded)), journal=journal)
    transport = asyncio.run(conversation(service, post(), post(), post(), b"nonsense\r\n\r\n"))

    assert transport.data.count(b"HTTP/1.1 200") == 3
    assert transport.data.count(b"HTTP/1.1 400") == 1
    assert len(journal) == len(caplog.records) == 4


def test_a_peer_that_resets_before_the_close_is_no_error(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    class Reset(Written):
        def write_eof(self) -> None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    seen: list[Exchange] = []
    service = Service(App(Engine(loaded)), observers=(seen.append,))
    asyncio.run(conversation(service, get("Connection: close"), transport=Reset()))

    assert len(seen) == 1
    assert not caplog.records


# --- Limits, with a simulated clock ---------------------------------------------------------------

LIMITS = Limits(keep_alive=5.0, write_time=20.0, linger=2.0, connections=2)


async def ends_at(
    loaded: Loaded, transport: Written, *parts: bytes, during: float = 0.0, speed: float = 1.0
) -> float:
    """The second at which a connection is ended; a peer that is refused goes on sending `during`
    the first of them."""
    clock = Clock(speed=speed)
    protocol = HTTPProtocol(Service(App(Engine(loaded)), limits=LIMITS, clock=clock))
    protocol.connection_made(cast("Any", transport))
    for part in parts:
        protocol.data_received(part)
    for second in range(200):
        if second < during:
            protocol.data_received(b"more")
        protocol.check(float(second))
        if transport.is_closing():
            return second
    raise AssertionError("it is never ended")


@pytest.mark.parametrize("speed", [1.0, MIN_SPEED, MAX_SPEED])
@pytest.mark.parametrize(
    ("unsent", "parts", "during", "ends", "second"),
    [
        (0, [post()], 0.0, ["close"], 5),
        (9, [post()], 0.0, ["abort"], 20),
        (0, [post("Connection: close")], 0.0, ["eof", "abort"], 2),
        (9, [post("Connection: close")], 0.0, ["eof", "abort"], 20),
        (0, [b"nonsense\r\n\r\n"], 10.0, ["eof", "abort"], 11),
        (0, [b"nonsense\r\n\r\n"], 999.0, ["eof", "abort"], int(MAX_LINGER)),
    ],
)
def test_a_connection_times_out_when_its_peer_is_idle(
    loaded: Loaded,
    unsent: int,
    parts: list[bytes],
    during: float,
    ends: list[str],
    second: int,
    speed: float,
) -> None:
    """Whatever the speed of latencies is."""
    transport = Written(unsent=unsent)

    ended = asyncio.run(ends_at(loaded, transport, *parts, during=during, speed=speed))

    assert ended == second
    assert transport.ends == ends


def test_lingering_connections_take_no_slots(loaded: Loaded) -> None:
    async def lingering() -> tuple[list[Written], int]:
        service = Service(App(Engine(loaded)), limits=LIMITS)
        transports = [Written() for _ in range(6)]
        for transport in transports:
            protocol = HTTPProtocol(service)
            protocol.connection_made(cast("Any", transport))
            protocol.data_received(get("Connection: close", target="/ready"))
        return transports, len(service.lingering)

    transports, left = asyncio.run(lingering())

    assert [transport.data[9:12] for transport in transports] == [b"200"] * 6
    assert [transport.ends[1:] for transport in transports] == [["abort"]] * 3 + [[]] * 3
    assert left == 6  # those that are cut are gone in the loop's next turn


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/v1/messages", b'{"type":"error","error":{"type":"'),
        ("/v1/responses", b'{"error":{"message":"'),
        ("/openai/deployments/a/chat/completions", b'{"error":{"message":"'),
        ("/chat/completions", b'{"error":{"message":"'),  # a base URL that lacks /v1
        ("/health", b'{"error":"'),
    ],
)
@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("Content-Encoding: compress", 415),
        ("Content-Encoding: zstd", 400),
        ("Content-Encoding: br, gzip", 400),
        ("Expect: x", 417),
        ("Host: other", 400),
        ("X : y", 400),
        ("X: " + "a" * Limits().head, 431),
        ("Transfer-Encoding: gzip", 501),
    ],
)
def test_a_refusal_has_the_format_of_the_vendor_of_the_path(
    loaded: Loaded, path: str, start: bytes, field: str, status: int
) -> None:
    request = post(field, target=path)
    transport = asyncio.run(conversation(Service(App(Engine(loaded))), request))

    head, _, body = transport.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert body.startswith(start)
    assert (b"accept-encoding: gzip, deflate, br, zstd" in head) is (status == 415)


def test_a_head_that_does_not_end_is_refused_in_the_format_of_its_vendor(loaded: Loaded) -> None:
    transport = Written()
    second = asyncio.run(ends_at(loaded, transport, b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n"))

    assert second >= LIMITS.head_time
    assert transport.data.startswith(b"HTTP/1.1 408 ")
    assert b'{"type":"error","error":{"type":"invalid_request_error"' in transport.data


def test_a_refusal_of_head_has_no_body(loaded: Loaded) -> None:
    request = get("Content-Length: 999999999", method="HEAD")
    transport = asyncio.run(conversation(Service(App(Engine(loaded))), request))

    assert transport.data.startswith(b"HTTP/1.1 413 ")
    assert transport.data.endswith(b"\r\n\r\n")


def test_a_connection_with_its_last_answer_takes_no_slot(loaded: Loaded) -> None:
    async def statuses() -> list[bytes]:
        service = Service(App(Engine(loaded)), limits=LIMITS)
        protocols, found = [], []
        for number in range(6):
            protocol, transport = HTTPProtocol(service), Written()
            protocol.connection_made(cast("Any", transport))
            protocol.data_received(get(target="/ready"))
            await checkpoint()
            protocols.append(protocol)
            found.append(transport.data[9:12] or b",".join(map(str.encode, transport.ends)))
            if number == 3:  # two are served and two were refused
                protocols[0].connection_lost(None)
        return found

    assert asyncio.run(statuses()) == [b"200", b"200", b"503", b"503", b"200", b"503"]
