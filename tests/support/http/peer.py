"""A raw client of a server: bytes sent, read, half-closed, reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Self, cast

from tests.support.http.messages import KIB


class Peer(asyncio.Protocol):
    """A raw client: sends and reads any bytes, and ends in any way."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        """Set when the server sends no more, or the connection is lost."""
        self.was_reset = False
        """True once the server has reset the connection."""
        self._came = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """A peer of the server on `port`. `receive_buffer` bounds its socket."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, peer = await loop.create_connection(cls, sock=sock)
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._came.set()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_reset = isinstance(exc, ConnectionResetError)
        self._end()

    def _end(self) -> None:
        self.ended.set()
        self._came.set()

    @property
    def _wire(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def send(self, data: bytes) -> None:
        """Send, unless the server has ended."""
        if not self.ended.is_set():
            self._wire.write(data)

    async def send_singly(self, data: bytes) -> None:
        """Send byte by byte, so that the server receives it so. Of more than 4 KiB, only the first
        KiB and the last 256 bytes."""
        middle = slice(KIB, len(data) - 256) if len(data) > 4 * KIB else slice(0, 0)
        for byte in data[: middle.start]:
            await self._send_one(byte)
        self.send(data[middle])
        for byte in data[middle.stop :]:
            await self._send_one(byte)

    async def _send_one(self, byte: int) -> None:
        self.send(bytes([byte]))
        await asyncio.sleep(0)

    def half_close(self) -> None:
        """Send no more, but go on reading."""
        if not self.ended.is_set():
            with suppress(OSError):  # the server has closed, and this side does not know it yet
                self._wire.write_eof()

    def stop_reading(self) -> None:
        """Stop reading from the server."""
        self._wire.pause_reading()

    def go_on_reading(self) -> None:
        """End `stop_reading`."""
        self._wire.resume_reading()

    def reset(self) -> None:
        """End with a TCP reset."""
        raw = self._wire.get_extra_info("socket")
        if raw.fileno() >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()

    def close(self) -> None:
        """End as programs do."""
        self._wire.close()

    async def read_all(self) -> bytes:
        """All bytes of the server, once it has ended."""
        await self.ended.wait()
        return bytes(self.received)

    async def read_until(self, mark: bytes, times: int = 1) -> bytes:
        """The bytes received once `mark` has come so many times, or the server has ended."""
        while self.received.count(mark) < times and not self.ended.is_set():
            self._came.clear()
            await self._came.wait()
        return bytes(self.received)
