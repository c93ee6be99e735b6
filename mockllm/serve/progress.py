"""How much of a limited answer was sent: its tokens are charged, those of the rest are given back.

Only deliveries that were admitted to a limit are counted. What is not counted costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.exchange import LazySteps, Reply
from mockllm.http1.framing import Frame


class Progress:
    """Counts the bytes of a body as its `frames` are taken. So many of them are its `head`, and not
    counted."""

    def __init__(self, frames: Iterator[Frame], head: int = 1) -> None:
        self._frames = frames
        self._head = head
        self._taken = 0

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._frames)
        if self._head:
            self._head -= 1
        else:
            self._taken += len(frame.data) if frame.size is None else frame.size
        return frame

    def share(self, reply: Reply, unsent: int) -> float:
        """Return the share of `reply` that was sent, from 0 to 1, if so many bytes of what was
        taken were not. That of a reply whose size is not known is 1."""
        if isinstance(reply.steps, LazySteps):
            return 1.0
        total = sum(_framed(step.size, streamed=reply.streamed) for step in reply.steps)
        sent = max(self._taken - unsent, 0)
        return min(sent / total, 1.0) if total else 1.0


def _framed(size: int, *, streamed: bool) -> int:
    """Return the size of a step with that of its chunk, if it is one (RFC 9112, section 7.1)."""
    return size + len(b"%x\r\n\r\n" % size) if streamed and size else size
