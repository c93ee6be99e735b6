"""Sends an answer that cannot be sent with one write: it pauses, is large, is generated while it is
sent, or its peer reads slowly.

A player sends the frames of a reply (`http1.framing.frames`) in order. Before each frame it waits
for four things:

    time   A frame is due after the sum of all pauses before it, counted from the start, so a late
           frame does not delay later ones.
    gate   A frame with a gate waits there until a test lets it pass (`serve.gates`). The pauses
           behind it are counted from then on.
    peer   The transport reports when more than MAX_UNSENT bytes wait for the peer, and when they
           are sent. So a slow reader costs that much memory, whatever the size of the answer.
    turn   A player yields to the loop after a few milliseconds, which it shares with all other
           players (`serve.turns`): other requests are answered between two turns.

Then it carries out the reply's ending. COMPLETE and CLEAN leave the connection open, CUT closes it,
RESET resets it once the peer has received everything, HANG waits for the peer to disconnect. The
player knows nothing of latency or faults: both are part of the reply.

For example, the reply ``steps = (a, b pause 0.5, c), ending = CUT after a and b`` is played as

    write(head)  write(a)  sleep until 0.5 s  write(b)  close

The actual end of the delivery is passed to the callback `ended`, which informs the observers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from mockllm.engine.decision import End
from mockllm.exchange import Ending, EndingKind
from mockllm.http1.framing import LAST_CHUNK, Frame
from mockllm.serve.closing import close
from mockllm.serve.gates import Gates
from mockllm.serve.interruptions import Interruptions
from mockllm.serve.turns import Turns
from mockllm.wire.placeholders import FreshValues, fill_fresh

try:
    import fcntl
    import termios
except ImportError:  # Windows has neither
    _UNSENT_REQUEST = None
else:
    _UNSENT_REQUEST = getattr(termios, "TIOCOUTQ", None)

MAX_UNSENT = 32 * 1024  # bytes that wait for a slow peer before its answer pauses
MAX_RESET_WAIT = 5.0  # seconds in which the peer acknowledges nothing; then it is reset anyway
RESET_GAP = 0.05  # seconds between the peer's acknowledgement and the reset, for the peer to read
DRAIN_POLL = 0.005  # seconds between two checks for unacknowledged bytes

ENDS = {
    EndingKind.COMPLETE: End.COMPLETE,
    EndingKind.CLEAN: End.CLEAN,
    EndingKind.CUT: End.CUT,
    EndingKind.RESET: End.RESET,
    EndingKind.HANG: End.HANG,
}
"""What observers see of each kind of ending."""


class Sender:
    """Writes the frames of one answer on one connection, and ends it.

    `writable` is set while the peer reads fast enough, `peer_finished` once it has closed its side.
    The answer waits at the `gates` of its `session`. If it has `interruptions`, these make its
    frames. `ended` is called once: with the last write, or when the peer has disconnected.
    """

    __slots__ = (
        *("_transport", "_writable", "_peer_finished", "_fresh", "_ended", "_end", "_next", "_due"),
        *("_gates", "_session", "gate", "frames_sent", "first_byte", "hangs", "_interruptions"),
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        writable: asyncio.Event,
        peer_finished: asyncio.Event,
        fresh: FreshValues,
        *,
        gates: Gates,
        session: str,
        interruptions: Interruptions | None = None,
        ended: Callable[[Sender, End], None],
    ) -> None:
        # of the connection
        self._transport = transport
        self._writable = writable
        self._peer_finished = peer_finished
        # of the answer
        self._fresh = fresh
        self._ended = ended
        self._end: End | None = None
        self._gates = gates
        self._session = session
        self.gate = ""
        """The name of the gate at which the answer is held, or was at its end."""
        # of the frames
        self._interruptions = interruptions
        self._next: Frame | None = None
        self._due = 0.0
        self.frames_sent = 0
        """The number of frames written, by which `Timeouts` detects stuck peers."""
        self.first_byte: float | None = None
        """The time of the first write, in monotonic seconds."""
        self.hangs = False
        """True once nothing more is sent, until the peer disconnects."""

    @property
    def waits(self) -> bool:
        """True if nothing is sent now because time must pass first, or at a gate. A peer that
        closes its side meanwhile, or has before, cannot be told from one that has left, so it
        counts as one: otherwise it would be noticed at the next write, which may come late."""
        return self.gate != "" or self._due > time.monotonic()

    @property
    def unsent(self) -> tuple[Frame, ...]:
        """The frames of the reply that were taken and not sent."""
        dropped = () if self._interruptions is None else self._interruptions.dropped
        return dropped if self._next is None else (*dropped, self._next)

    @property
    def replaced_status(self) -> int:
        """The status of the error that is sent in place of the answer; 0 if there is none."""
        return 0 if self._interruptions is None else self._interruptions.status

    def resume(self) -> None:
        """Continue: the peer reads again."""

    def take_care(self) -> None:
        """Note that the peer reads slowly, or has closed its side."""

    def pass_gate(self) -> None:
        """Continue: a test lets the answer pass the gate at which it is held."""
        raise NotImplementedError

    def cut_off(self) -> None:
        """End the answer, which is held at a gate, as if the connection was cut."""
        raise NotImplementedError

    async def end(self, kind: EndingKind) -> None:
        """End the message as `kind` specifies, when all frames are sent. After COMPLETE and CLEAN
        the transport is still open, unless the peer has disconnected."""
        if self._transport.is_closing():
            self.abandon()
        elif kind is EndingKind.RESET:
            await self._reset()
        elif kind is EndingKind.CUT:
            close(self._transport)
        elif kind is EndingKind.HANG:
            self.hangs = True
            await self._peer_finished.wait()
            close(self._transport)

    def _leave_to_finished(self) -> None:
        """Before a wait, close if the peer has closed its side: `abandon` follows."""
        if self._peer_finished.is_set():
            close(self._transport)

    def abandon(self) -> None:
        """Report that the peer has disconnected, unless the end was reported before."""
        self._finish(End.CLIENT_GONE)
        if self.gate:
            self._gates.leave(self)

    def fail(self) -> None:
        """Report that the frames could not be generated, unless the end was reported before."""
        self._finish(End.FAILED)

    def _write(self, frame: Frame, end: End | None) -> None:
        """Write a frame; with it the answer ends as `end` says, unless that is None."""
        self._write_data(fill_fresh(frame.data, self._fresh)[: frame.size], end)

    def _write_data(self, data: bytes, end: End | None) -> None:
        if data and self.first_byte is None:
            self.first_byte = time.monotonic()
        if end is not None:
            self._finish(end)
        if data:
            self._hand_over(data)
        self.frames_sent += 1

    def _hand_over(self, data: bytes) -> None:
        """Write to the peer."""
        self._transport.write(data)

    def _finish(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self._ended(self, end)

    async def _reset(self) -> None:
        """Close with a TCP reset, once the peer has received everything: a reset discards the bytes
        that wait on either side."""
        raw = self._transport.get_extra_info("socket")
        waiting, since = 0, time.monotonic()
        while left := self._transport.get_write_buffer_size() + _unacknowledged(raw):
            if left != waiting:
                waiting, since = left, time.monotonic()
            elif time.monotonic() - since > MAX_RESET_WAIT:
                break  # the peer reads nothing or is gone
            await asyncio.sleep(DRAIN_POLL)  # the system has no event for this
        await asyncio.sleep(RESET_GAP)
        with contextlib.suppress(OSError):  # a Unix socket lacks this option and is just closed
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Player(Sender):
    """Sends frames in turns with all other players, which share `turns`. The other arguments are
    those of `Sender`."""

    def __init__(self, *connection: Any, turns: Turns, **answer: Any) -> None:
        super().__init__(*connection, **answer)
        self._turns = turns
        self._began = 0.0
        self._until = math.inf  # frames that are due later are not sent
        self._passing: asyncio.Future[bool] | None = None  # False if the answer is cut off

    async def play(self, frames: Iterator[Frame], ending: Ending) -> None:
        """Send `frames`, then end the message as `ending` specifies."""
        await self.end(await self._send(frames, ending))

    async def _send(self, frames: Iterator[Frame], ending: Ending) -> EndingKind:
        """Send each frame when it is due, a turn at a time. Returns how the message ends: complete,
        if its ending has a time and all frames are due by then."""
        kind = ending.kind if ending.time is None else EndingKind.COMPLETE
        self._began = self._due = time.monotonic()
        self._until = math.inf if ending.time is None else self._due + ending.time
        while True:
            await self._turns.wait()
            began = time.monotonic()
            if self._due > self._until and began >= self._until:
                self._finish(ENDS[ending.kind])
                return ending.kind
            more = self._take_turn(frames, kind, began + self._turns.left)
            self._turns.spend(time.monotonic() - began)
            if not more:
                return self._kind_of_end(kind)
            if self._is_at_gate:
                stopped = await self._wait_at_gate(ending)
                if stopped is not None:
                    return stopped
                continue
            wait = min(self._due, self._until) - time.monotonic()
            if wait > 0:
                self._leave_to_finished()
                await asyncio.sleep(wait)
            else:
                await self._writable.wait()

    def _kind_of_end(self, kind: EndingKind) -> EndingKind:
        """Return how the message ends: as `kind` says, unless an error has ended it."""
        ended = None if self._interruptions is None else self._interruptions.ending
        return kind if ended is None else ended

    def _take_turn(self, frames: Iterator[Frame], kind: EndingKind, until: float) -> bool:
        """Send the frames that are due, until the time `until`. Returns True if more remain and the
        peer is connected."""
        if not self.frames_sent and self._next is None:
            self._take(frames)
        while self._next is not None:
            if self._due > min(time.monotonic(), self._until) or not self._writable.is_set():
                return True
            if self._transport.is_closing():
                return False
            if self._next.gate:
                return True
            frame = self._take_with_end(frames, self._next)
            end = ENDS[self._kind_of_end(kind)] if self._next is None else None
            self._write(frame, end)
            if time.monotonic() > until:
                break
        return self._next is not None

    @property
    def _is_at_gate(self) -> bool:
        """True if the next frame is due but for its gate."""
        if self._next is None or not self._next.gate or not self._writable.is_set():
            return False
        return self._due <= min(time.monotonic(), self._until)

    async def _wait_at_gate(self, ending: Ending) -> EndingKind | None:
        """Wait at the gate of the next frame. Returns how the message ends, if it ends there: if it
        is cut off, or at the time of its ending."""
        assert self._next is not None
        name = self._next.gate
        if self._gates.arrive(self._session, name, self):
            self.gate = name
            self._leave_to_finished()
            self._passing = asyncio.get_running_loop().create_future()
            left = None if self._until == math.inf else max(self._until - time.monotonic(), 0.0)
            await asyncio.wait((self._passing,), timeout=left)
            self._gates.leave(self)
            if not self._passing.done() or not self._passing.result():
                kind = ending.kind if not self._passing.done() else EndingKind.CUT
                self._finish(ENDS[kind])
                return kind
            self.gate = ""
            self._due = time.monotonic()
        self._next = self._next._replace(gate="")
        return None

    def pass_gate(self) -> None:
        """Continue after the gate."""
        assert self._passing is not None
        self._passing.set_result(True)

    def cut_off(self) -> None:
        """End the answer at the gate."""
        assert self._passing is not None
        self._finish(End.CUT)
        self._passing.set_result(False)

    def _take_with_end(self, frames: Iterator[Frame], frame: Frame) -> Frame:
        """Take the next frame, and return `frame`, which is before it. If only the end of the
        message follows, it is part of what is returned: a client that stops reading at the last
        event of a stream has the whole delivery."""
        self._take(frames)
        if self._next is None or self._next.data != LAST_CHUNK or frame.size is not None:
            return frame
        self._take(frames)
        return frame._replace(data=frame.data + LAST_CHUNK)

    def _take(self, frames: Iterator[Frame]) -> None:
        if self._interruptions is not None:
            self._take_in_time(self._interruptions)
            return
        self._next = next(frames, None)
        if self._next is not None:
            self._due += self._next.pause

    def _take_in_time(self, interruptions: Interruptions) -> None:
        """Take the next frame, or that of an interruption which comes before."""
        while (taken := interruptions.take()) is not None:
            wait = taken.frame.pause if taken.rest is None else taken.rest
            due, at = self._due + wait, self._began + interruptions.next_at
            if due <= at:
                interruptions.passed(taken.frame)
                self._next, self._due = taken.frame, due
                return
            self._due = max(at, self._due)  # the time may have come while a gate held the answer
            interruptions.interrupt(taken.frame, due - self._due)
        self._next = None


def _unacknowledged(raw: socket.socket) -> int:
    """Return the number of bytes that the system has accepted and the peer has not acknowledged; 0
    if the system does not report it."""
    if _UNSENT_REQUEST is None:
        return 0
    try:
        answer = fcntl.ioctl(raw.fileno(), _UNSENT_REQUEST, struct.pack("i", 0))
    except OSError:
        return 0
    (count,) = struct.unpack("i", answer)
    return int(count)
