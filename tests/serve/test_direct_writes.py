"""Bytes that are written past the loop: at once, in order, and without a new kind of error."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import pytest

from mockllm.serve.direct_writes import (
    NO_DESCRIPTOR,
    descriptor_of,
    is_empty,
    write,
    write_next,
)
from mockllm.serve.process import new_event_loop

pytestmark = pytest.mark.skipif(
    new_event_loop is asyncio.new_event_loop, reason="uvloop is not used here"
)

TCP, UNIX = "tcp", "unix"
FAMILIES = pytest.mark.parametrize("family", [TCP, UNIX])
PATIENCE = 10.0  # seconds


class Server(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = asyncio.Event()
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.lost.set()


def _pair(family: str) -> tuple[socket.socket, socket.socket]:
    if family == UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        return listener.accept()[0], peer


@contextlib.asynccontextmanager
async def connected(family: str) -> AsyncIterator[tuple[Server, socket.socket]]:
    """A transport of the running loop, and the socket of its peer."""
    ours, peer = _pair(family)
    ours.setblocking(False)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    create = loop.create_connection if family == TCP else loop.create_unix_connection
    transport, server = await create(Server, sock=ours)
    with peer:
        yield server, peer
        transport.abort()
        await asyncio.wait_for(server.lost.wait(), PATIENCE)


def run(
    main: Callable[[], Coroutine[Any, Any, None]],
    make_loop: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


@FAMILIES
def test_they_leave_before_the_loop_goes_on(family: str) -> None:
    async def main() -> None:
        async with connected(family) as (server, peer):
            write(server.transport, descriptor_of(server.transport), b"now")
            assert peer.recv(10) == b"now"

    run(main)


@FAMILIES
def test_a_transport_that_writes_at_once_is_left_to_itself(family: str) -> None:
    async def main() -> None:
        async with connected(family) as (server, peer):
            number = descriptor_of(server.transport)
            assert number == NO_DESCRIPTOR
            write(server.transport, number, b"now")
            assert peer.recv(10) == b"now"

    run(main, asyncio.new_event_loop)


@FAMILIES
def test_what_does_not_fit_follows_in_order(family: str) -> None:
    pieces = [bytes([number]) * 50_000 for number in range(200)]

    async def main() -> None:
        async with connected(family) as (server, peer):
            number = descriptor_of(server.transport)
            for piece in pieces:
                write(server.transport, number, piece)
            assert server.transport.get_write_buffer_size() > 0
            server.transport.write(b"the end")
            loop = asyncio.get_running_loop()
            received = b""
            while not received.endswith(b"the end"):
                received += await asyncio.wait_for(loop.sock_recv(peer, 1 << 20), PATIENCE)
            assert received == b"".join(pieces) + b"the end"

    run(main)


@FAMILIES
def test_what_is_written_next_follows_only_what_has_left(family: str) -> None:
    async def main() -> None:
        async with connected(family) as (server, peer):
            number = descriptor_of(server.transport)
            assert is_empty(server.transport, number)
            sent = b"now"
            assert write_next(server.transport, number, sent)
            while write_next(server.transport, number, b"more" * 10_000):
                sent += b"more" * 10_000
            sent += b"more" * 10_000
            assert not is_empty(server.transport, number)
            loop = asyncio.get_running_loop()
            received = b""
            while len(received) < len(sent):
                received += await asyncio.wait_for(loop.sock_recv(peer, 1 << 20), PATIENCE)
            assert received == sent
            assert is_empty(server.transport, number)

    run(main)


@FAMILIES
def test_next_to_a_transport_that_writes_at_once_everything_may_be_written(family: str) -> None:
    async def main() -> None:
        async with connected(family) as (server, peer):
            assert write_next(server.transport, NO_DESCRIPTOR, b"now")
            assert is_empty(server.transport, NO_DESCRIPTOR)
            assert peer.recv(10) == b"now"

    run(main, asyncio.new_event_loop)


def test_a_peer_that_has_reset_is_a_lost_connection() -> None:
    async def main() -> None:
        async with connected(TCP) as (server, peer):
            number = descriptor_of(server.transport)
            server.transport.pause_reading()  # so that a write finds out
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            for _ in range(3):
                if not server.transport.is_closing():
                    write(server.transport, number, b"into the void")
                await asyncio.sleep(0)
            await asyncio.wait_for(server.lost.wait(), PATIENCE)
            assert server.error is None or isinstance(server.error, OSError)

    run(main)


@FAMILIES
@pytest.mark.parametrize("was_asked", [False, True])
def test_a_transport_that_is_closed_may_be_asked(family: str, was_asked: bool) -> None:
    """An answer may be decided just when its peer has left."""

    async def main() -> None:
        async with connected(family) as (server, _):
            if was_asked:
                descriptor_of(server.transport)
            server.transport.abort()
            assert server.transport.is_closing()
            descriptor_of(server.transport)
            await asyncio.wait_for(server.lost.wait(), PATIENCE)
            descriptor_of(server.transport)

    run(main)


def test_it_has_no_descriptor_for_what_is_not_a_socket() -> None:
    assert descriptor_of(asyncio.Transport()) == NO_DESCRIPTOR
