"""Sends an answer that cannot go out in one write: it pauses, is large, is made as it is taken, or
its peer reads slowly.

A player walks the frames of a reply (`http1.framing.frames`) in order. Before each frame it waits
for three things, and for nothing else:

    its time   frames have pauses between them. A frame is due at the sum of all pauses before it,
               counted from the start, so a late frame makes no later one later.
    its peer   the transport says when more than MAX_UNSENT bytes wait for the peer, and when they
               have gone. So a slow reader costs that much memory, whatever the size of the answer.
    its turn   a player gives the loop back after MAX_TURN seconds. Frames that are made as they are
               taken cost more than a write, so of all players that make some only one has the turn
               in each round of the loop: others' requests are answered between two turns.

Then the reply's ending is carried out. COMPLETE and CLEAN leave a connection that may be used
again, CUT closes it, RESET waits until the peer has all that was sent and then resets it, HANG
waits for the peer to go. The player knows nothing of latency or faults: both are in the reply.

For example, the reply ``steps = (a, b pause 0.5, c), ending = CUT after a and b`` is played as

    write(head)  write(a)  sleep until 0.5 s  write(b)  close

How the delivery really ended is told to `ended`, and by that to the observers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from mockllm.engine.decision import End
from mockllm.exchange import EndingKind
from mockllm.http1.framing import Frame
from mockllm.wire.placeholders import FreshValues, fill_fresh

try:
    import fcntl
    import termios
except ImportError:  # Windows has neither
    _UNSENT_REQUEST = None
else:
    _UNSENT_REQUEST = getattr(termios, "TIOCOUTQ", None)

MAX_TURN = 0.005  # seconds
MAX_UNSENT = 32 * 1024  # bytes that wait for a slow peer before its answer waits too
RESET_GAP = 0.05  # seconds between the peer's acknowledgement and the reset, to read in
DRAIN_POLL = 0.005  # seconds between two looks at what the peer has not acknowledged

_ENDS = {
    EndingKind.COMPLETE: End.COMPLETE,
    EndingKind.CLEAN: End.CLEAN,
    EndingKind.CUT: End.CUT,
    EndingKind.RESET: End.RESET,
    EndingKind.HANG: End.HANG,
}


class Player:
    """Sends the frames of one answer on one connection.

    `writable` is set while the peer reads fast enough; `turn` is what players whose frames are made
    as they are taken share, and a context without effect for any other. `ended` is called once, in
    the same step as the last write, or when the peer is gone.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        writable: asyncio.Event,
        fresh: FreshValues,
        *,
        turn: AbstractAsyncContextManager[object],
        ended: Callable[[Player, End], None],
    ) -> None:
        # of the connection
        self._transport = transport
        self._writable = writable
        # of the answer
        self._fresh = fresh
        self._turn = turn
        self._ended = ended
        self._end: End | None = None
        # of the frames
        self._next: Frame | None = None
        self._due = 0.0
        self.frames_sent = 0
        """Progress, for whoever watches for peers that are stuck."""
        self.first_byte: float | None = None
        """When the first frame was written, in monotonic seconds."""

    async def play(self, frames: Iterator[Frame], kind: EndingKind) -> None:
        """Send `frames`, then end the message as `kind` specifies. After COMPLETE and CLEAN the
        transport is still open, unless the peer has disconnected."""
        await self._send(frames, _ENDS[kind])
        if self._transport.is_closing():
            self.abandon()
        elif kind is EndingKind.RESET:
            await self._reset()
        elif kind is EndingKind.CUT:
            self._transport.close()
        elif kind is EndingKind.HANG:
            await asyncio.get_running_loop().create_future()  # until the connection is lost

    def abandon(self) -> None:
        """End, if that has not happened: the peer is gone."""
        self._finish(End.CLIENT_GONE)

    async def _send(self, frames: Iterator[Frame], end: End) -> None:
        """Send each frame when it is due, a turn at a time."""
        self._due = time.monotonic()
        while True:
            async with self._turn:
                if not self._take_turn(frames, end):
                    return
                await asyncio.sleep(0)  # the turn lasts until the loop has gone round
            wait = self._due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self._writable.wait()

    def _take_turn(self, frames: Iterator[Frame], end: End) -> bool:
        """Send what can be sent now. Returns whether there is more, and the peer is there."""
        began = time.monotonic()
        if not self.frames_sent and self._next is None:
            self._take(frames)
        while self._next is not None:
            if self._due > time.monotonic() or not self._writable.is_set():
                return True
            if self._transport.is_closing():
                return False
            data = self._next.data
            self._take(frames)
            self._write(data, end if self._next is None else None)
            if time.monotonic() - began > MAX_TURN:
                break
        return self._next is not None

    def _take(self, frames: Iterator[Frame]) -> None:
        self._next = next(frames, None)
        if self._next is not None:
            self._due += self._next.pause

    def _write(self, data: bytes, end: End | None) -> None:
        if self.first_byte is None:
            self.first_byte = time.monotonic()
        if end is not None:
            self._finish(end)
        self._transport.write(fill_fresh(data, self._fresh))
        self.frames_sent += 1

    def _finish(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self._ended(self, end)

    async def _reset(self) -> None:
        """Close with a TCP reset, once the peer has received all that was sent: a reset throws away
        what waits on either side."""
        raw = self._transport.get_extra_info("socket")
        while (  # noqa: ASYNC110  # the system tells nobody
            self._transport.get_write_buffer_size() or _unacknowledged(raw)
        ):
            await asyncio.sleep(DRAIN_POLL)
        await asyncio.sleep(RESET_GAP)
        with contextlib.suppress(OSError):  # a Unix socket has no such option: it is just closed
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _unacknowledged(raw: socket.socket) -> int:
    """The bytes that the system has taken and the peer has not acknowledged; 0 where the system
    does not say."""
    if _UNSENT_REQUEST is None:
        return 0
    try:
        answer = fcntl.ioctl(raw.fileno(), _UNSENT_REQUEST, struct.pack("i", 0))
    except OSError:
        return 0
    (count,) = struct.unpack("i", answer)
    return int(count)
