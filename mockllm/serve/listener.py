"""Accepts the connections of one listening socket, and drains them when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

from mockllm.errors import ListenError
from mockllm.serve.address import (
    BACKLOG,
    is_unix,
    reason_of,
)
from mockllm.serve.connections import Service
from mockllm.serve.handshakes import keep_new_clients_out
from mockllm.serve.protocol import HTTPProtocol

MAX_CLOSE = 0.2  # seconds to close connections that have no protocol yet
ITERATIONS_TO_CONNECT = 3  # of the loop, from accepting a connection to its protocol
ITERATIONS_TO_READ = 3  # of the loop, from there to reading the first bytes


class Listener:
    """Listens on one socket in the running loop and hands its connections to a service."""

    def __init__(self, service: Service, *, tls: ssl.SSLContext | None = None) -> None:
        self._service = service
        self._tls = tls
        self._sock: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self.owner: object = None
        """Kept alive while the listener accepts connections."""

    async def start(self, sock: socket.socket) -> None:
        """Listen on `sock`, which must be bound. The listener owns it from then on.

        Raises:
            ListenError: another socket listens there.
        """
        try:
            sock.listen(BACKLOG)
            self._server = await self._listen(sock)
        except OSError as exc:
            sock.close()
            raise ListenError(f"cannot listen: {reason_of(exc)}") from exc
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._service.start_checking()

    async def stop(
        self, drain_timeout: float, *, last_call: float = 0.0, inherited: bool = False
    ) -> None:
        """Stop accepting, give responses in progress `drain_timeout` seconds to finish, then cut
        them. Idle clients may send a request for another `last_call` seconds.

        Connections that wait to be accepted are served too, unless the socket is `inherited` by
        another process, which accepts them.
        """
        assert self._server is not None
        assert self._sock is not None
        await self._finish_accepting()
        queued: list[socket.socket] = []
        if not inherited:
            keep_new_clients_out(self._sock)
            queued += self._queued()
        self._server.close()  # at once: new connections are refused, not lost in the queue
        try:
            async with asyncio.timeout(drain_timeout):
                await self._serve_queued(queued)
                self._service.drain(last_call=last_call)
                await self._service.all_closed.wait()
        except TimeoutError:
            self._service.drain()
            self._service.cut()
            await self._service.all_closed.wait()
        self._service.stop_checking()
        self._service.functions.close()
        self._service.turns.stop()
        with contextlib.suppress(TimeoutError):  # peers in a TLS handshake
            await asyncio.wait_for(self._server.wait_closed(), MAX_CLOSE)

    def release(self) -> None:
        """Close the socket after the loop has been closed without `stop`."""
        self._service.functions.close()
        self._service.turns.stop()
        if self._sock is not None:
            with contextlib.suppress(OSError):  # uvloop has closed it
                self._sock.close()

    def _listen(self, sock: socket.socket) -> Coroutine[Any, Any, asyncio.Server]:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"sock": sock, "backlog": BACKLOG, "ssl": self._tls}
        if self._tls is not None:
            options["ssl_handshake_timeout"] = self._service.limits.head_time
        if not is_unix(sock):
            return loop.create_server(self._protocol, **options)
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # `serve.address.unix_socket` removes the file
        return loop.create_unix_server(self._protocol, **options)

    def _protocol(self) -> HTTPProtocol:
        return HTTPProtocol(self._service)

    def _queued(self) -> Iterator[socket.socket]:
        """Accept the connections that are still in the queue of the socket."""
        assert self._sock is not None
        while True:
            try:
                yield self._sock.accept()[0]
            except OSError:  # BlockingIOError: the queue is empty
                return

    async def _finish_accepting(self) -> None:
        """Stop accepting, and wait until accepted connections have their protocol: asyncio creates
        it a few iterations later, and drops the connection if the server is closed by then."""
        assert self._sock is not None
        with contextlib.suppress(NotImplementedError):  # on Windows there are no readers
            asyncio.get_running_loop().remove_reader(self._sock)
        await _iterate(ITERATIONS_TO_CONNECT)

    async def _serve_queued(self, queued: list[socket.socket]) -> None:
        """Serve `queued`, and wait until all connections have read what has arrived."""
        loop = asyncio.get_running_loop()
        try:
            while queued:
                sock = queued.pop()
                sock.setblocking(False)
                with contextlib.suppress(OSError):  # the client has disconnected
                    await loop.connect_accepted_socket(self._protocol, sock, ssl=self._tls)
            await _iterate(ITERATIONS_TO_READ)
        finally:
            for sock in queued:
                sock.close()


async def _iterate(count: int) -> None:
    """Let the loop run `count` iterations."""
    for _ in range(count):
        await asyncio.sleep(0)
