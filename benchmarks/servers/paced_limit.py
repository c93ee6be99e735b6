"""The limit of paced streams: a loop that writes ready bytes on a fixed schedule, and nothing else.

All streams have the same times, so the order of their deadlines is that of a queue: there is no
heap, no pool, and nothing is parsed, counted or filled in. Frames are written to the sockets at
once, which is faster than the loop's own way.

Usage: python -m benchmarks.servers.paced_limit PORT FILE_OF_THE_REPLY TTFT ITL (in seconds)
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.loads import END

RESOLUTION = 0.001  # seconds; that of the loop's timers
SEPARATOR = b"\r\n\r\n"  # behind the head
TEXT = re.compile(rb'"content":"[^"]')  # in a chunk with text

Deadline = tuple[float, "Stream", int]
"""The time at which a stream sends a frame, and the place of the frame."""


def split_reply(reply: bytes) -> list[bytes]:
    """Return the frames of a streamed answer: the head and the first text, then one event each, the
    last with all that follows the last text."""
    head, _, body = reply.partition(SEPARATOR)
    chunks: list[bytes] = []
    while body:
        size = body.partition(b"\r\n")[0]
        length = len(size) + 2 + int(size, 16) + 2
        chunks.append(body[:length])
        body = body[length:]
    texts = [place for place, chunk in enumerate(chunks) if TEXT.search(chunk)]
    after_first, last = texts[0] + 1, texts[-1]
    begin = b"".join((head, SEPARATOR, *chunks[:after_first]))
    return [begin, *chunks[after_first:last], b"".join(chunks[last:])]


class Schedule:
    """The deadlines of all streams."""

    def __init__(self, frames: list[bytes], ttft: float, itl: float) -> None:
        self.frames = frames
        self._ttft = ttft
        self._itl = itl
        self._first: deque[Deadline] = deque()
        self._further: deque[Deadline] = deque()
        self._is_set = False

    def begin(self, stream: Stream) -> None:
        """Schedule the first frame of a stream."""
        self._first.append((time.monotonic() + self._ttft, stream, 0))
        self._set()

    def _set(self) -> None:
        if not self._is_set:
            self._is_set = True
            asyncio.get_running_loop().call_later(RESOLUTION, self._tick)

    def _tick(self) -> None:
        self._is_set = False
        now = time.monotonic()
        for deadlines in (self._first, self._further):
            while deadlines and deadlines[0][0] <= now:
                due, stream, place = deadlines.popleft()
                stream.write(self.frames[place])
                if place + 1 < len(self.frames):
                    self._further.append((due + self._itl, stream, place + 1))
        if self._first or self._further:
            self._set()


class Stream(asyncio.Protocol):
    """Begins a stream whenever it has received the bytes that end every request."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if data.endswith(END):
            self._schedule.begin(self)

    def write(self, frame: bytes) -> None:
        """Send a frame. Clients read fast enough for it to fit."""
        if self._transport is not None:
            os.write(self._descriptor, frame)


async def serve(port: int, schedule: Schedule) -> None:
    """Serve forever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(schedule), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    frames = split_reply(Path(sys.argv[2]).read_bytes())
    uvloop.run(serve(int(sys.argv[1]), Schedule(frames, float(sys.argv[3]), float(sys.argv[4]))))
