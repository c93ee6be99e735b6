"""Puts the interruptions of a reply between the frames of its delivery: they come at a time,
whatever is sent by then.

A player takes one frame after the other and knows when it is due. If an interruption comes before,
the player says so, and takes the frames of that first; the frame that was next follows, with the
rest of its wait. For example, with an interruption at 2 s the frames

    head   "Hello" at 1 s   " world" at 5 s

are followed by ``" world"`` 3 s after whatever is put in. It has no clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from mockllm import exchange
from mockllm.exchange import EndingKind, Interruption, Reply, Step
from mockllm.http1.framing import LAST_CHUNK, PAUSE, Frame, frames, hold_head

_END_OF_EVENT = b"\n\n"


class Next(NamedTuple):
    """A frame; of one that was interrupted, the rest of its wait in the player's time, and whether
    its first token is awaited."""

    frame: Frame
    rest: float | None = None
    awaits_token: bool = False


class Interruptions:
    """The `own_frames` of a reply, and those of its interruptions. With `holds_head` the head is
    sent with the first step; the other arguments are those of `framing.frames`."""

    def __init__(
        self,
        reply: Reply,
        own_frames: Iterator[Frame],
        *,
        is_http11: bool,
        close: bool,
        holds_head: bool = False,
    ) -> None:
        # of the reply
        self._reply = reply
        self._is_http11 = is_http11
        self._close = close
        self._is_chunked = reply.streamed and is_http11
        self._left = deque(sorted(reply.interruptions, key=lambda each: each.time))
        # of the frames
        self._frames = self._with_head_noted(own_frames, holds_head=holds_head)
        self._queue: deque[Next] = deque()  # before those
        self._head = b""
        self._with_head: Frame | None = None
        """The frame that begins with the head, until it has passed."""
        self._is_in_body = False
        self._events = 0
        self.ending: EndingKind | None = None
        """How the answer ends, if an error has ended it."""
        self.status = 0
        """The status of the error that is sent in place of the answer; 0 if there is none."""
        self.dropped: tuple[Frame, ...] = ()
        """What was taken from the reply when the error came, and is not sent."""

    @property
    def next_at(self) -> float:
        """The seconds from the beginning of the answer to the next interruption; infinity if there
        is none."""
        return self._left[0].time if self._left else math.inf

    def take(self) -> Next | None:
        """Return the next frame; None if there is none."""
        if self._queue:
            return self._queue.popleft()
        frame = next(self._frames, None)
        return None if frame is None else Next(frame)

    def passed(self, frame: Frame) -> None:
        """Note that a frame that was taken comes before the next interruption."""
        self._is_in_body = self._is_in_body or frame is self._with_head
        data = frame.data.removesuffix(b"\r\n") if self._is_chunked else frame.data
        self._events += data.endswith(_END_OF_EVENT)

    def interrupt(self, frame: Frame, rest: float, *, awaits_token: bool = False) -> None:
        """Put the next interruption before `frame`, which was taken and has not passed, and of
        whose wait there is a `rest`."""
        self._queue.appendleft(Next(frame, rest, awaits_token))
        interruption = self._left.popleft()
        inserted = self._fail if interruption.instead is not None else self._insert
        self._queue.extendleft(map(Next, reversed(inserted(interruption))))

    def _insert(self, interruption: Interruption) -> list[Frame]:
        """Return the frames of a wait, or of what is put into the body: in a stream after the head,
        in a whole answer, whose length the head has announced, before it."""
        step, data = interruption.step, interruption.step.data
        if not data:
            return [Frame(step.pause, b"", gate=step.gate)]
        if not self._reply.streamed:
            return [] if self._is_in_body else [Frame(0.0, data)]
        if self._is_in_body:
            return [Frame(0.0, self._framed(data))]
        for place, each in enumerate(self._queue):
            if each.frame is self._with_head and self._head:
                rest = each.frame._replace(data=each.frame.data[len(self._head) :])
                self._queue[place] = each._replace(frame=rest)
                self._is_in_body = True
                return [Frame(0.0, self._head + self._framed(data))]
        return [Frame(0.0, data)]

    def _fail(self, interruption: Interruption) -> list[Frame]:
        """Return the frames of an error, with which the answer ends: the whole of another answer,
        unless the head is sent. Nothing fails in the body of a whole answer."""
        if not self._is_in_body:
            assert interruption.instead is not None
            self._end(EndingKind.COMPLETE)
            self.status = interruption.instead.status
            return [*frames(interruption.instead, is_http11=self._is_http11, close=self._close)]
        if interruption.error is None or not self._reply.streamed:
            return []
        self._end(EndingKind.CLEAN)
        self._frames = self._frames_of(interruption.error(self._events))
        return []

    def _end(self, ending: EndingKind) -> None:
        """End the answer with what is put in now."""
        self.ending = ending
        self.dropped = tuple([each.frame for each in self._queue])
        self._queue.clear()
        self._left.clear()
        self._frames = iter(())

    def _frames_of(self, steps: Iterable[Step]) -> Iterator[Frame]:
        """Yield the frames of steps with which the answer ends; of a large one, one for each of its
        pieces."""
        for step in steps:
            if step == exchange.PAUSE:
                yield PAUSE
            elif len(step.pieces) == 1:
                yield Frame(0.0, self._framed(step.data))
            else:
                if self._is_chunked:
                    yield Frame(0.0, b"%x\r\n" % step.size)
                yield from (Frame(0.0, piece) for piece in step.pieces if piece)
                if self._is_chunked:
                    yield Frame(0.0, b"\r\n")
        if self._is_chunked:
            yield Frame(0.0, LAST_CHUNK)

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    def _with_head_noted(self, found: Iterator[Frame], *, holds_head: bool) -> Iterator[Frame]:
        yield from islice(found, len(self._reply.opening))
        head = next(found)
        self._head = head.data if head.size is None else b""
        rest: Iterator[Frame] = chain([head], found)
        if holds_head:
            rest = hold_head(rest)
        self._with_head = next(rest)
        yield self._with_head
        yield from rest
