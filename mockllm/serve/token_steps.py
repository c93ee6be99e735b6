"""Sends the tokens of paced answers while each follows the one before and nothing else happens.

That is nearly all that a server with thousands of streams does, eighty thousand times a second, so
it has a way of its own: one loop over all answers that are due, which takes a third of the time of
what `serve.paced_player` does with any frame. Whatever else there is to do, it leaves to that: the
first token, the end, a gate, a frame that is cut, an interruption, a peer that reads slowly or has
closed its side.

Frames that are late leave with those behind them that are due as well, in one write.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from mockllm.exchange import Pacing
from mockllm.http1.framing import Frame
from mockllm.http1.shared_frames import Divided
from mockllm.observers.measured import Measured
from mockllm.replies.lanes import Deadline, Lane
from mockllm.replies.pacing import Tempo
from mockllm.serve.direct_writes import NO_DESCRIPTOR, descriptor_of, is_empty, write_next
from mockllm.serve.paced import AnswerClock, Paced
from mockllm.serve.player import MAX_UNSENT, Sender
from mockllm.wire.placeholders import fill_body


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
        *("_own", "_tempo", "_itl", "_is_even", "_descriptor", "_clock", "_measured"),
        *("_lane", "_deadline", "_taken", "_is_steady", "_shared", "_at"),
    )

    def __init__(
        self,
        *connection: Any,
        frames: Divided,
        clock: AnswerClock,
        pacing: Pacing,
        measured: Measured | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(*connection, **answer)
        self._descriptor = descriptor_of(self._transport)
        self._clock = clock
        self._measured = measured
        # of the answer
        self._own, self._shared, self._at = frames  # the place of the shared frame that is next
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

    def _take_frame(self) -> Frame | None:
        """Take a frame; None if there is no more."""
        at, shared = self._at, self._shared[0]
        frame = next(self._own, None)
        if frame is None and at < len(shared):
            self._at, frame = at + 1, shared[at]
        return frame

    def play_due(self, now: float, own: float) -> None:
        """Send what is due by `now`, which is the time `own` of the lane, after the answer was
        removed from it."""
        raise NotImplementedError

    def fail_with(self, error: Exception) -> None:
        """End the answer, because of an error in the server."""
        raise NotImplementedError

    def _play_late(self, own: float, deadline: Deadline[Paced], frame: Frame, due: float) -> bool:
        """Send `frame`, which was `due`, with those behind it that are due as well, and use
        `deadline` again. Returns False if something else is due before: then nothing was sent."""
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
                or not following.data  # it may be a pause
                or size > MAX_UNSENT
            ):
                self._taken = Due(parts, dues, count)
                return False
            if due > own:
                break
            frame = following
            self._next = following = self._take_frame()
            if following is not None:
                self._due = due + following.pause + further(following.tokens)
        self._write_body(b"".join(parts))
        self._deadline, deadline.due = deadline, due
        lane.put(deadline)
        count_all = self._clock.count_all if self._measured is None else self._measured.count
        count_all(dues, count)
        return True

    def _write_body(self, data: bytes) -> None:
        if data:
            filled = data if data.isascii() else fill_body(data, self._fresh)
            if not write_next(self._transport, self._descriptor, filled):
                self._is_steady = False
        self.frames_sent += 1


def play_lane(lane: Lane[Paced], now: float, until: float, clock: AnswerClock) -> bool:
    """Play what is due in a lane by `now`, in order, and count the steps. Returns False if it is
    later than `until` before all is played.

    Tokens that are in time are sent in this one loop: a call of a function for each of what is done
    here takes as long as the rest."""
    own, rate = lane.time_at(now), lane.rate
    read, write, put, late = clock.now, os.write, lane.put, clock.late.append
    deadlines: Iterator[Any] = lane.due_by(own)
    for deadline in deadlines:
        answer: TokenSteps = deadline.item
        if not answer._is_steady or answer._transport.is_closing():
            answer.play_due(now, own)
            if read() > until:
                return False
            continue
        try:
            frame, due, at = answer._next, answer._due, answer._at
            assert frame is not None
            frames, ready = answer._shared
            if at < len(ready) and (step := ready[at]) and (sent := ready[at - 1]):
                data, values, _, tokens = sent
                _, _, pause, further = step
                following: Frame | None = frames[at]
                size, gate = None, ""
                answer._at = at + 1
            else:
                _, data, _, tokens, _ = frame
                values = None
                following = answer._take_frame()
                if following is not None:
                    pause, _, size, further, gate = following
            answer._next = following
            if following is not None:
                takes = answer._itl * further if answer._is_even else answer._tempo.further(further)
                answer._due = next_due = due + (pause + takes)
            if following is None or next_due <= own or size is not None or gate:
                if not answer._play_late(own, deadline, frame, due):
                    answer.play_due(now, own)
                if read() > until:
                    return False
                continue
            if values is not None:
                data = data % values(answer._fresh)
            elif not data.isascii():
                data = fill_body(data, answer._fresh)
            descriptor = answer._descriptor
            if descriptor == NO_DESCRIPTOR or not data:
                answer._write_body(data)
            else:  # `write_next`
                try:
                    written = write(descriptor, data)
                except OSError:
                    written = 0
                if written != len(data):
                    answer._transport.write(data[written:])
                    answer._is_steady = False
                answer.frames_sent += 1
        except Exception as exc:
            answer.fail_with(exc)
            continue
        deadline.due = next_due
        put(deadline)
        if not tokens:
            continue
        handed_over = read()
        # less `Lane.real_time_of(due)`, at the rate that it had until now
        is_late_by = handed_over - now + (own - due) / rate
        late(is_late_by)
        clock.tokens += tokens
        if answer._measured is not None:
            answer._measured.count_sent(handed_over, is_late_by, tokens)
        if handed_over > until:
            return False
    return True
