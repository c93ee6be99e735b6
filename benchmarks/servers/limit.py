"""The limit: a server that parses nothing and answers every request with the same bytes.

Its cost is that of the event loop, the sockets and the kernel, the minimum for a Python server.

Usage: python -m benchmarks.servers.limit PORT FILE_OF_THE_REPLY
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.loads import END


class Limit(asyncio.Protocol):
    """Answers whenever it has received the bytes that end every request."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(END) and self._transport is not None:
            self._transport.write(self._reply)


async def serve(port: int, reply: bytes) -> None:
    """Serve forever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Limit(reply), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
