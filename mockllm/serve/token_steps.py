"""Sends the tokens of a paced answer while each follows the one before and nothing else happens.

That is nearly all that a server with thousands of streams does, eighty thousand times a second, so
it has a way of its own, which takes half the time of what `serve.paced_player` does with any frame.
As soon as there is something else to do, it says so and does nothing: for the first token, the end,
a gate, a frame that is cut, an interruption, a peer that reads slowly or has closed its side.

Frames that are late leave with those behind them that are due as well, in one write.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from mockllm.exchange import Pacing
from mockllm.http1.framing import Frame
from mockllm.observers.measured import Measured
from mockllm.replies.lanes import Deadline
from mockllm.replies.pacing import Tempo
from mockllm.serve.clock import Clock, Paced
from mockllm.serve.direct_writes import descriptor_of, is_empty, write_next
from mockllm.serve.player import MAX_UNSENT, Sender
from mockllm.wire.placeholders import fill_body

NOT_STEADY = -1
"""Returned instead of a number of tokens: something else is to be done first."""


class Due(NamedTuple):
    """Frames that are due: their `parts`, when those with tokens were due in real time, and the
    number of their tokens."""

    parts: list[bytes]
    dues: list[float]
    tokens: int


class TokenSteps(Sender):
    """The part of an answer that sends its tokens, one after the other. `measured` counts them for
    metrics. The other arguments are those of `Sender`."""

    __slots__ = (  # there may be thousands
        *("_frames", "_tempo", "_itl", "_is_even", "_descriptor", "_clock", "_measured"),
        *("_lane", "_deadline", "_taken", "_is_steady"),
    )

    def __init__(
        self,
        *connection: Any,
        frames: Iterator[Frame],
        clock: Clock,
        pacing: Pacing,
        measured: Measured | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(*connection, **answer)
        self._descriptor = descriptor_of(self._transport)
        self._clock = clock
        self._measured = measured
        # of the answer
        self._frames = frames
        self._tempo = Tempo(pacing)
        self._itl = pacing.itl
        self._is_even = not pacing.cv  # all tokens take as long
        # of the next frame
        self._due = math.inf  # until there is a place in the pool
        self._lane = clock.common
        self._deadline: Deadline[Paced] | None = None  # in the lane
        self._taken: Due | None = None  # what precedes the next frame, and is due
        self._is_steady = False
        """True while each frame follows the one before, nothing else happens meanwhile, and nothing
        waits to be written."""

    def take_care(self) -> None:
        """Look at the peer before the next frame."""
        self._is_steady = False

    def _can_write_next(self) -> bool:
        """True if the peer reads, is there, and has received all that was written."""
        if not self._writable.is_set() or self._peer_finished.is_set():
            return False
        return is_empty(self._transport, self._descriptor)

    def _play_token(self, own: float, deadline: Deadline[Paced]) -> int:
        """Send one frame of an answer that `_is_steady`, usually a token, or some that are late.
        Returns the number of tokens that the clock is to count; NOT_STEADY if something else is due
        by the time `own` of the lane. Else `deadline` is used again."""
        frame, due = self._next, self._due
        assert frame is not None
        self._next = following = next(self._frames, None)
        if following is None:
            return self._play_late(own, deadline, frame, due)
        pause, _, size, tokens, gate = following
        wait = pause + (self._itl * tokens if self._is_even else self._tempo.further(tokens))
        self._due = next_due = due + wait
        if next_due <= own or size is not None or gate:
            return self._play_late(own, deadline, frame, due)
        self._write_body(frame.data)
        self._deadline, deadline.due = deadline, next_due
        self._lane.put(deadline)
        if self._measured is None:
            return frame.tokens
        if frame.tokens:
            self._measured.count([self._lane.real_time_of(due)], frame.tokens)
        return 0

    def _play_late(self, own: float, deadline: Deadline[Paced], frame: Frame, due: float) -> int:
        """Send `frame`, which was `due`, with those behind it that are due as well. Returns 0, or
        NOT_STEADY."""
        lane, further = self._lane, self._tempo.further
        parts: list[bytes] = []
        dues: list[float] = []
        size = count = 0
        while True:
            data, tokens, following = frame.data, frame.tokens, self._next
            parts.append(data)
            size += len(data)
            if tokens:
                dues.append(lane.real_time_of(due))
                count += tokens
            due = self._due
            if (
                following is None
                or following.size is not None
                or following.gate
                or size > MAX_UNSENT
            ):
                self._taken = Due(parts, dues, count)
                return NOT_STEADY
            if due > own:
                break
            frame = following
            self._next = following = next(self._frames, None)
            if following is not None:
                self._due = due + following.pause + further(following.tokens)
        self._write_body(b"".join(parts))
        self._deadline, deadline.due = deadline, due
        lane.put(deadline)
        count_all = self._clock.count_all if self._measured is None else self._measured.count
        count_all(dues, count)
        return 0

    def _write_body(self, data: bytes) -> None:
        if data:
            filled = data if data.isascii() else fill_body(data, self._fresh)
            if not write_next(self._transport, self._descriptor, filled):
                self._is_steady = False
        self.frames_sent += 1
