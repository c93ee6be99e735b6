"""A load balancer before servers: each request goes to the next of them, on a new connection."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Coroutine, Sequence
from itertools import cycle
from typing import Any, TypeVar

from tests.support.served import PATIENCE

T = TypeVar("T")

CONNECTION = re.compile(rb"(?im)^connection:.*\r\n")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Balancer:
    """Listens on a free port in a thread of its own. Its clients reach the servers at `ports` in
    turn, and any worker of these, as every request opens a connection to the server. An end that
    goes away, or resets its connection, is seen to do so by the other."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._turns = cycle(ports)
        self._loop = asyncio.new_event_loop()
        self._passing = set[asyncio.Task[None] | None]()
        """Tasks of connections. Nothing else refers to one whose client has gone."""
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="asyncio_balancer", daemon=True
        )
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _stop(self) -> None:
        self._server.close()
        for _ in range(3):  # a connection that has just been accepted begins its task in the next
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._passing.add(task)
        try:
            await self._pass(client, to_client)
        finally:
            self._passing.discard(task)

    async def _pass(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            head = await client.readuntil(b"\r\n\r\n")
            server, to_server = await asyncio.open_connection("127.0.0.1", next(self._turns))
        except (OSError, EOFError):
            to_client.transport.abort()
            return
        first, _, fields = head.partition(b"\r\n")
        to_server.write(first + b"\r\nconnection: close\r\n" + CONNECTION.sub(b"", fields))
        sending = asyncio.create_task(_send(client, to_server))
        try:
            await _copy(server, to_client)
        except ConnectionError:
            _reset(to_client)
        finally:
            sending.cancel()
            to_client.close()
            to_server.transport.abort()


async def _send(client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
    """Pass the body on, and the end of a client that goes away."""
    with contextlib.suppress(ConnectionError):
        await _copy(client, to_server)
    to_server.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
