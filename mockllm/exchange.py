"""The values that every floor speaks: a request that came in, a reply that goes out.

They hold no socket, no clock and no vendor's format. A reply is *time as data*: the pause before
its head, a sequence of steps, and an ending. So latency and faults are functions from reply to
reply, and a test of them never sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain, islice
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
    """One event of a stream, or one body, whatever its size: wait `pause` seconds after the step
    before, then send `pieces`. Small steps have one piece; large ones share theirs with other
    deliveries of the same reply."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0

    @property
    def data(self) -> bytes:
        """All bytes of the step."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(map(len, self.pieces))


class How(Enum):
    """How a message ends on the wire (RFC 9112, sections 6.3, 7.1 and 9.6)."""

    COMPLETE = "complete"
    """As HTTP wants it; the connection may be used again."""
    CLEAN = "clean"
    """As HTTP wants it, though the content is not whole."""
    CUT = "cut"
    """The connection is closed in the middle of the message (TCP FIN)."""
    RESET = "reset"
    """The connection is reset (TCP RST), once what was sent has reached the peer."""
    HANG = "hang"
    """Nothing more comes until the peer goes."""


class Ending(NamedTuple):
    """How a reply ends: behind its last step, or behind the first `after` bytes of its body, be it
    in the middle of a step, of a chunk or of a character."""

    how: How = How.COMPLETE
    after: int | None = None


COMPLETE = Ending()


class LazySteps:
    """Steps that are made as they are taken, each time anew: of a reply that is made for one
    request, no more exists at once than the peer has room for."""

    __slots__ = ("_begun", "_make")

    def __init__(self, make: Callable[[], Iterator[Step]]) -> None:
        self._make = make
        self._begun: Iterator[Step] | None = None

    def __iter__(self) -> Iterator[Step]:
        begun, self._begun = self._begun, None
        return self._make() if begun is None else begun

    def at_most(self, count: int) -> tuple[Step, ...] | None:
        """All steps, if there are no more than `count`; None if there are. Those that were made to
        find out are not made again by the next iteration."""
        steps = iter(self)
        first = tuple(islice(steps, count + 1))
        if len(first) <= count:
            return first
        self._begun = chain(first, steps)
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is framed as HTTP.

    The bytes may hold the placeholders of `wire.placeholders` where something belongs that only the
    request or the delivery knows (the model, a fresh id, the time). A `streamed` reply is sent as
    it comes, one HTTP chunk a step; any other has its length announced. `before_head` is the pause
    before the head, in seconds.
    """

    status: int
    headers: Headers
    steps: tuple[Step, ...] | LazySteps
    ending: Ending = COMPLETE
    streamed: bool = False
    before_head: float = 0.0

    @property
    def body(self) -> bytes:
        """All bytes of all steps."""
        return b"".join(step.data for step in self.steps)

    @classmethod
    def whole(cls, status: int, headers: Headers, body: bytes) -> Self:
        """A reply in one piece, sent at once."""
        return cls(status, headers, (Step((body,)),))

    @classmethod
    def stream(cls, status: int, headers: Headers, frames: Iterable[bytes]) -> Self:
        """A reply that is sent frame by frame, without pauses."""
        steps = tuple(Step((frame,)) for frame in frames)
        return cls(status, headers, steps, streamed=True)

    @classmethod
    def lazy_stream(
        cls, status: int, headers: Headers, frames: Callable[[], Iterable[bytes]]
    ) -> Self:
        """As `stream`, of frames that are made as they are taken."""
        steps = LazySteps(lambda: (Step((frame,)) for frame in frames()))
        return cls(status, headers, steps, streamed=True)
