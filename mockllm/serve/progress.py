"""Counts how much of a limited answer was sent: its tokens are charged, those of the rest are given
back.

Only deliveries that were admitted to a limit are counted. What is not counted costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mockllm.engine.limiting import Sent
from mockllm.exchange import LazySteps, Reply
from mockllm.http1.framing import Frame


class BodyProgress:
    """Counts what is in the body of an answer as its `frames` are taken. So many of them are its
    `head`, and not counted."""

    def __init__(self, frames: Iterator[Frame], head: int = 1) -> None:
        self._frames = frames
        self._head = head
        # of what was taken
        self._events = 0
        self._size = 0
        self._tokens = 0

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._frames)
        if self._head:
            self._head -= 1
        else:
            self._events += bool(frame.data)
            self._size += _size_of(frame)
            self._tokens += frame.tokens
        return frame

    def sent(self, reply: Reply, unsent: Sequence[Frame]) -> Sent:
        """Return how much of `reply` was sent: all that was taken but the `unsent` frames. Its
        tokens, if its steps have them; the share of its bytes; of a reply whose size is not known,
        one token for each event."""
        if reply.streamed and reply.pacing is not None:
            return Sent(tokens=max(self._tokens - sum(frame.tokens for frame in unsent), 0))
        if isinstance(reply.steps, LazySteps):
            return Sent(tokens=max(self._events - len(unsent), 0))
        total = sum(_framed(step.size, streamed=reply.streamed) for step in reply.steps)
        size = max(self._size - sum(map(_size_of, unsent)), 0)
        return Sent(min(size / total, 1.0) if total else 1.0)


def _size_of(frame: Frame) -> int:
    return len(frame.data) if frame.size is None else frame.size


def _framed(size: int, *, streamed: bool) -> int:
    """Return the size of a step with that of its chunk, if it is one (RFC 9112, section 7.1)."""
    return size + len(b"%x\r\n\r\n" % size) if streamed and size else size
