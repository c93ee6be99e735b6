"""Peers that read slowly, vanish, or keep sending: their cost, and their effect on others."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mockllm import AsyncServer
from mockllm.serve.connections import Connection, Service
from mockllm.serve.protocol import HTTPProtocol
from tests.support.http.answers import read_answers
from tests.support.http.messages import (
    BODY,
    HELLO,
    KIB,
    MIB,
    asking,
    chunked,
    chunks,
    configuration,
    framed,
    get,
    post,
)
from tests.support.http.peer import Peer

pytestmark = pytest.mark.anyio

BOUND = 30.0  # seconds; only a hang takes so long

WORDS = 500_000
STREAM = post(body=asking("large", stream=True))  # is answered with 5 MB in 10,000 events
WHOLE_WORDS = 900_000
WHOLE = post(body=asking("large"))  # is answered with 5 MB in one piece

MAX_BUFFERED = 256 * KIB
"""Most bytes of an unread answer that a connection may buffer: asyncio's high-water mark and a
slice, twice over."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log record of level WARNING, whatever a peer does."""
    yield
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


@pytest.fixture(scope="module")
async def streaming(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    """A server whose `STREAM` is long."""
    async with AsyncServer(configuration(WORDS)) as server:
        let_the_system_buffer_little(server)
        await fetch(server, STREAM)  # rendered once for all
        yield server


@pytest.fixture(scope="module")
async def whole(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    """A server whose `WHOLE` is long."""
    async with AsyncServer(configuration(WHOLE_WORDS)) as server:
        let_the_system_buffer_little(server)
        await fetch(server, WHOLE)
        yield server


def let_the_system_buffer_little(server: AsyncServer) -> None:
    """Let the server be stopped after 100 kB that a peer does not read, in place of some MB: what
    it buffers itself is the same, and it makes fewer events until then."""
    assert server._listening is not None
    sock = server._listening.listener._sock
    assert sock is not None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)  # its connections inherit it


def port_of(server: AsyncServer) -> int:
    return int(server.base_url.rpartition(":")[2])


def service_of(server: AsyncServer) -> Service:
    assert server._listening is not None
    return server._listening.listener._service


@asynccontextmanager
async def connected(server: AsyncServer, **options: int) -> AsyncIterator[Peer]:
    """A peer that is gone in the end, whatever it did."""
    with anyio.fail_after(BOUND):
        peer = await Peer.connect(port_of(server), **options)
        try:
            yield peer
        finally:
            peer.reset()


async def fetch(server: AsyncServer, request: bytes) -> bytes:
    """The body of the answer to `request`."""
    async with connected(server) as peer:
        peer.send(request)
        peer.half_close()
        (answer,) = read_answers(await peer.read_all())
    assert (answer.status, answer.whole) == (200, True)
    return answer.body


async def all_gone(server: AsyncServer) -> None:
    """Wait until the server has no connection any more."""
    with anyio.fail_after(BOUND):
        await service_of(server).all_closed.wait()
    assert not service_of(server).connections


# --- Slow readers ---------------------------------------------------------------------------------


def buffered(connection: Connection) -> int:
    """Bytes that the server holds for a peer that does not read."""
    return cast("HTTPProtocol", connection)._transport.get_write_buffer_size()


@asynccontextmanager
async def stalled(server: AsyncServer, request: bytes, count: int) -> AsyncIterator[list[Peer]]:
    """`count` peers that have sent a request and read nothing, once the system buffers no more."""
    connections = service_of(server).connections
    expected = len(connections) + count
    async with AsyncExitStack() as stack:
        peers = []
        for _ in range(count):
            peer = await stack.enter_async_context(connected(server, receive_buffer=8 * KIB))
            peer.stop_reading()
            peer.send(request)
            peers.append(peer)
        while len(connections) < expected or not all(map(buffered, connections)):
            await checkpoint()  # nobody tells when a system's buffers are full
        yield peers


@contextmanager
def growth_below(most: int) -> Iterator[Callable[[], None]]:
    """A check that the memory in use has not grown by more than `most` bytes since."""

    def check() -> None:
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        assert grown < most

    gc.collect()
    tracemalloc.start()
    try:
        yield check
    finally:
        tracemalloc.stop()


LONG = pytest.mark.parametrize(("name", "question"), [("streaming", STREAM), ("whole", WHOLE)])


@LONG
async def test_a_slow_reader_stops_being_written_to(
    streaming: AsyncServer, whole: AsyncServer, name: str, question: bytes
) -> None:
    server = {"streaming": streaming, "whole": whole}[name]
    async with stalled(server, question, 1) as (peer,):
        for _ in range(5):
            await fetch(server, get())  # others are answered
            (connection,) = (each for each in service_of(server).connections if buffered(each))
            assert buffered(connection) <= MAX_BUFFERED
        peer.go_on_reading()
        peer.half_close()
        (answer,) = read_answers(await peer.read_all())

    assert answer.whole
    assert len(answer.body) > 5_000_000
    await all_gone(server)


@LONG
async def test_slow_readers_cost_little_memory_each(
    streaming: AsyncServer, whole: AsyncServer, name: str, question: bytes
) -> None:
    """500 slow readers of 5 MB in less than 100 MB are 200 kB each, asyncio's buffers included."""
    server = {"streaming": streaming, "whole": whole}[name]
    await all_gone(server)
    count = 20
    async with stalled(server, question, 2):  # what is made once for all is made now
        with growth_below(count * 200_000) as check:
            async with stalled(server, question, count):
                assert await fetch(server, get())
                check()
    await all_gone(server)


async def test_memory_of_slow_readers_is_released(streaming: AsyncServer) -> None:
    async with stalled(streaming, STREAM, 1):
        pass
    await all_gone(streaming)
    with growth_below(MIB) as check:
        async with stalled(streaming, STREAM, 10):
            pass
        await all_gone(streaming)
        check()


async def test_pipelined_requests_behind_an_unread_answer_are_not_all_read(
    streaming: AsyncServer,
) -> None:
    """A peer that sends and never reads is stopped by TCP, not by the server's memory."""
    flood = get("X-A: " + "a" * 1_000) * 1_000
    async with stalled(streaming, STREAM, 1) as (peer,):
        for _ in range(8):
            peer.send(flood)
            await fetch(streaming, get())
        (connection,) = (each for each in service_of(streaming).connections if buffered(each))
        assert cast("HTTPProtocol", connection)._http.unread < MIB
    await all_gone(streaming)


# --- Peers that vanish ----------------------------------------------------------------------------

PARTS = [
    b"",
    b"\r\n",
    b"GET /hea",
    get()[:-2],
    post()[:-1],
    post("Expect: 100-continue")[: -len(HELLO)],
    framed("Content-Length: 60000000", body=b"[" * 100_000),
    chunked(BODY[:9]),
    chunked(chunks(b"[" * 100_000, 1_000)),
    chunked(BODY, b"0\r\nX-A: b\r\n"),
    get() + post()[:-1],
    STREAM,
    STREAM + get() * 3 + post()[:-1],
    b"nonsense\r\n\r\n",
]


@pytest.mark.parametrize("how", ["reset", "close", "half_close"])
@pytest.mark.parametrize("part", PARTS)
async def test_a_peer_that_vanishes_leaves_nothing_behind(
    streaming: AsyncServer, part: bytes, how: str
) -> None:
    tasks = asyncio.all_tasks()
    async with connected(streaming) as peer:
        peer.send(part)
        await fetch(streaming, get())  # by now the server has read what the peer sent
        getattr(peer, how)()
        await all_gone(streaming)

    assert await fetch(streaming, get())
    await all_gone(streaming)
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("after", [b"HTTP/1.1 200", b"data: ", b'"content":" large'])
async def test_a_peer_may_vanish_in_the_middle_of_an_answer(
    streaming: AsyncServer, after: bytes, how: str
) -> None:
    for _ in range(5):
        async with connected(streaming) as peer:
            peer.send(STREAM)
            await peer.read_until(after)
            getattr(peer, how)()
            await all_gone(streaming)

    assert await fetch(streaming, get())


async def test_aborted_bodies_leave_nothing_behind(streaming: AsyncServer) -> None:
    """200 peers that announce a body, send a part of it and vanish."""
    parts = [
        framed("Content-Length: 60000000", body=b"[" * 50_000),
        chunked(chunks(b"[" * 50_000, 5_000)),
    ]

    async def abort(count: int) -> None:
        for number in range(count):
            async with connected(streaming) as peer:
                peer.send(parts[number % 2])
                await checkpoint()
        await all_gone(streaming)

    await abort(20)
    with growth_below(MIB) as check:
        await abort(200)
        check()
    assert await fetch(streaming, get())


@pytest.mark.parametrize("times", [1, 50])
async def test_a_reset_after_done_is_not_an_error(
    streaming: AsyncServer, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    """Like the synchronous OpenAI client, which stops reading at ``[DONE]`` and resets."""
    caplog.set_level(logging.INFO)
    for _ in range(times):
        async with connected(streaming) as peer:
            peer.send(post(body=asking(stream=True)))
            await peer.read_until(b"data: [DONE]")
    await all_gone(streaming)

    assert await fetch(streaming, get())
    assert [entry.getMessage() for entry in caplog.records] == []


# --- Peers that go on sending ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "piece", "status"),
    [
        (framed("Content-Length: 99999999", body=b""), b"[" * MIB, 413),
        (chunked(b"5f5e0ff\r\n"), b"[" * MIB, 413),
        (b"nonsense\r\n\r\n", b"[" * MIB, 400),
        (get("X-A: " + "a" * 70 * KIB), get() * 10_000, 431),
    ],
)
async def test_a_refusal_is_not_lost_on_a_peer_that_goes_on_sending(
    streaming: AsyncServer, head: bytes, piece: bytes, status: int
) -> None:
    """RFC 9112, section 9.6: a close with unread bytes would be a reset, which takes the answer
    from a peer that has not read it yet."""
    async with connected(streaming) as peer:
        peer.stop_reading()
        peer.send(head)
        for _ in range(8):
            peer.send(piece)
            await fetch(streaming, get())
        peer.go_on_reading()
        (answer,) = read_answers(await peer.read_all())

    assert (answer.status, answer.whole, answer.closes) == (status, True, True)
    await all_gone(streaming)


async def test_a_chunked_body_beyond_the_limit_is_refused_in_a_response_that_arrives(
    streaming: AsyncServer,
) -> None:
    piece = chunks(b"[" * MIB, 256 * KIB)
    async with connected(streaming) as peer:
        peer.send(chunked())
        for _ in range(66):
            peer.send(piece)
            await checkpoint()
        (answer,) = read_answers(await peer.read_all())

    assert (answer.status, answer.whole, answer.closes) == (413, True, True)
    await all_gone(streaming)


async def test_the_last_answer_is_not_lost_on_a_peer_that_goes_on_sending(
    streaming: AsyncServer,
) -> None:
    """RFC 9112, section 9.6, where the client itself has asked for the close."""
    async with connected(streaming) as peer:
        peer.stop_reading()
        peer.send(get("Connection: close"))
        for _ in range(8):
            peer.send(get() * 1_000)
            await fetch(streaming, get())
        peer.go_on_reading()
        answers = read_answers(await peer.read_all())

    assert [(answer.status, answer.closes) for answer in answers] == [(200, True)]
    await all_gone(streaming)
