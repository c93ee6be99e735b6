"""The frozen values that every floor speaks: a request, a reply, a decision, an exchange.

They hold no socket, no clock and no provider's format. A reply is *time as data*: a tuple of steps
``(pause_seconds, bytes)`` and an ending, so latency and faults are functions from reply to reply,
and a test of them never sleeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Self

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines in order, names in lower case: ``((b"content-type", b"application/json"), ...)``."""


class Request(NamedTuple):
    """One whole request as received.

    `path` and `query` are the two halves of the target, as sent (``/v1/messages``, ``beta=true``).
    (A tuple, since one is made for every request.)
    """

    method: str
    path: str
    query: str
    headers: Headers
    first_values: Mapping[bytes, bytes]
    body: bytes

    @classmethod
    def of(
        cls, method: str, path: str, headers: Headers = (), body: bytes = b"", *, query: str = ""
    ) -> Self:
        """A request from its parts."""
        return cls(method, path, query, headers, dict(reversed(headers)), body)


class Step(NamedTuple):
    """Wait `pause` seconds after the step before, then send `data`."""

    pause: float
    data: bytes


class Ending(Enum):
    """How a reply ends once its steps are sent."""

    COMPLETE = "complete"
    """The message is closed as HTTP wants it; the connection may be used again."""
    CUT = "cut"
    """The connection is closed in the middle of the message."""
    RESET = "reset"
    """The connection is reset (TCP RST)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is framed as HTTP.

    The bytes may bear the marks of `wire.placeholders` where something belongs that only the
    delivery knows (a fresh id, the time). A `streamed` reply is sent as it comes, one HTTP chunk a
    step; any other has its length announced.
    """

    status: int
    headers: Headers
    steps: tuple[Step, ...]
    ending: Ending = Ending.COMPLETE
    streamed: bool = False

    @property
    def body(self) -> bytes:
        """All bytes of all steps, for tests and for whole answers."""
        return b"".join(step.data for step in self.steps)


_LOWEST_MARK = 0xFD  # bytes from here on mark what the delivery fills in


def slices(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of about `size` bytes, none of which begins or ends inside a mark."""
    start = 0
    while start < len(data):
        end = start + size
        while 0 < end < len(data) and data[end] >= _LOWEST_MARK and data[end] == data[end - 1]:
            end += 1
        yield data[start:end]
        start = end
