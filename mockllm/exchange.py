"""The values shared by every part of the package: requests received and replies to send.

They contain no socket, no clock and no vendor's format. A reply describes its timing as data: the
pause before its head, a sequence of steps, and an ending. So latency and faults are functions from
reply to reply, and tests of them never sleep.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain
from typing import Any, NamedTuple, Self, overload

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines in order, names in lower case: ``((b"content-type", b"application/json"), ...)``."""

BODILESS = frozenset({204, 304})
"""The statuses of replies that end with their head (RFC 9112, section 6.3)."""
WITHOUT_CONTENT = BODILESS | {205}
"""The statuses of replies that have no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5). That
of a 205 has a length of 0."""


class HeaderParts(NamedTuple):
    """Header lines that differ from those of other requests in the `values` of these `names`, which
    follow each other. They are joined when they are asked for, as those of few requests are. Heads
    of one `shape` differ in nothing else; its number is that of one server."""

    shape: int
    before: Headers
    names: tuple[bytes, ...]
    values: tuple[bytes, ...]
    after: Headers


def join_lines(lines: Headers | HeaderParts) -> Headers:
    """Return header lines in one tuple."""
    if isinstance(lines, HeaderParts):
        return (*lines.before, *zip(lines.names, lines.values, strict=True), *lines.after)
    return lines


class Request(NamedTuple):
    """One complete request as received.

    `path` and `query` are the two halves of the target, as sent (``/v1/messages``, ``beta=true``).
    `lines` are the header lines, `first_values` maps each header's name to the first of its values.
    A tuple, because creating one is part of the cost of every request.
    """

    method: str
    path: str
    query: str
    lines: Headers | HeaderParts
    first_values: Mapping[bytes, bytes]
    body: bytes

    @property
    def headers(self) -> Headers:
        """The header lines in one tuple."""
        return join_lines(self.lines)

    @classmethod
    def of(
        cls, method: str, path: str, headers: Headers = (), body: bytes = b"", *, query: str = ""
    ) -> Self:
        """Return a request with `first_values` derived from `headers`."""
        return cls(method, path, query, headers, dict(reversed(headers)), body)


class Step(NamedTuple):
    """One event of a stream, or one whole body: wait `pause` seconds after the previous step and,
    if a `gate` is named, until it lets the reply go on; then send `pieces`. A small step has one
    piece; a large one shares its pieces with other deliveries of the same reply.

    So many `tokens` of the model's output are complete with this step and were not with the one
    before; they are counted in replies with a pacing, which says how long each takes."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0
    tokens: int = 0
    gate: str = ""

    @property
    def data(self) -> bytes:
        """The pieces joined."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(map(len, self.pieces))


PAUSE = Step((b"",))
"""A step that sends nothing: whoever generates or sends steps may do something else then."""

Frames = Iterable[bytes | Iterator[bytes]]
"""The frames of a stream, of which a large one is generated in pieces."""


class EndingKind(Enum):
    """The end of a message on the wire (RFC 9112, sections 6.3, 7.1 and 9.6)."""

    COMPLETE = "complete"
    """A complete message; the connection may be reused."""
    CLEAN = "clean"
    """A complete HTTP message whose content is truncated; the connection may be reused."""
    CUT = "cut"
    """The connection is closed in the middle of the message (TCP FIN)."""
    RESET = "reset"
    """The connection is reset (TCP RST) once the peer has received all that was sent."""
    HANG = "hang"
    """Nothing more is sent until the peer disconnects."""


class Ending(NamedTuple):
    """The end of a reply: after its last step, or after the first `after` bytes of its body, even
    in the middle of a step, a chunk or a character. With a `time`, it ends so many seconds after it
    began, if it is not over by then.

    `head` is the part of the head that is sent: 0 of a reply that ends before its first byte, 0.5
    of one that ends in the middle of the head, and has no body.
    """

    kind: EndingKind = EndingKind.COMPLETE
    after: int | None = None
    time: float | None = None
    head: float = 1.0


COMPLETE = Ending()


class LazySteps:
    """Steps that each iteration generates on demand, so that a reply to a single request never
    occupies more memory than the peer is ready to read."""

    __slots__ = ("_begun", "_make")

    def __init__(self, make: Callable[[], Iterator[Step]]) -> None:
        self._make = make
        self._begun: Iterator[Step] | None = None

    def __iter__(self) -> Iterator[Step]:
        begun, self._begun = self._begun, None
        return self._make() if begun is None else begun

    def at_most(
        self, count: int = sys.maxsize, *, size: int = sys.maxsize
    ) -> tuple[Step, ...] | None:
        """Return all steps, or None if there are more than `count`, or if they have more than
        `size` bytes. The next iteration reuses the steps that were generated to find out."""
        steps = iter(self)
        first: list[Step] = []
        for step in steps:
            first.append(step)
            size -= step.size
            if len(first) > count or size < 0:
                self._begun = chain(first, steps)
                return None
        return tuple(first)


class DividedBody(Sequence[Step]):
    """The one step of a large body, whose pieces are made when they are needed: one by one in
    `make_pieces`, or what is left of them at once by whoever reads the step before."""

    __slots__ = ("_made", "_rest", "_step", "_tokens")

    def __init__(self, pieces: Iterable[bytes], tokens: int = 0) -> None:
        self._rest = iter(pieces)
        self._made: list[bytes] = []
        self._tokens = tokens
        self._step: Step | None = None

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if self._step is None:
            self._made += self._rest
            self._step = Step(tuple(self._made), tokens=self._tokens)
        return (self._step,)[index]

    @property
    def tokens(self) -> int:
        """The tokens that are complete with the body."""
        return self._tokens

    def make_pieces(self) -> Iterator[bytes]:
        """Make the pieces that are not made yet, one by one, and yield them."""
        for piece in self._rest:
            self._made.append(piece)
            yield piece

    def edited(self, edit: Callable[[bytes], Iterable[bytes]]) -> DividedBody:
        """Return the body with each piece replaced by those that `edit` returns, when it is made.
        This one must not be read any more."""
        pieces = map(edit, chain(self._made, self._rest))
        return DividedBody(chain.from_iterable(pieces), self._tokens)

    def with_tokens(self, tokens: int) -> DividedBody:
        """Return the body as one that is complete with so many tokens. This one must not be read
        any more."""
        return DividedBody(chain(self._made, self._rest), tokens)


class PoolRule(NamedTuple):
    """The numbers of a pool: what all answers with an equal rule share while they are generated."""

    name: str = ""
    concurrency: int | None = None
    """Answers that are generated at once; None is unlimited."""
    queue: int | None = None
    """Answers that wait for a place; None is unlimited."""
    slowdown: float = 1.0
    """The factor on the time of a token at full concurrency."""
    shared: bool = False
    """Whether all processes have one line for its places, and not a share of them each."""


class Pacing(NamedTuple):
    """The times of one delivery in seconds: until the first token, and between two tokens.

    They vary by the coefficient of variation `cv`, as drawn by `key`, and pass in the time of the
    pool. Of constant size: what differs between two deliveries is drawn while they are sent. `full`
    is the reply if the pool is full.
    """

    pool: PoolRule
    ttft: float
    itl: float
    cv: float = 0.0
    key: int = 0
    full: Reply | None = None


class Interruption(NamedTuple):
    """What happens `time` seconds after a reply has begun, unless it is over by then: `step` comes
    between its steps, and what follows is as late as the step takes.

    An error comes in its place: with the steps that `error` returns, given the number of events
    before it, in a stream, among which may be a `PAUSE`; and `instead` of the reply, if its head is
    not sent.
    """

    time: float
    step: Step = Step((b"",))
    error: Callable[[int], Iterable[Step]] | None = None
    instead: Reply | None = None


@dataclass(slots=True)  # not frozen, although never modified: it takes half the time to create
class Reply:
    """An answer before it is framed as HTTP.

    Its bytes may contain placeholders (`wire.placeholders`) for values that depend on the request
    or the delivery: the model, an id, the time. A `streamed` reply is sent as one HTTP chunk per
    step, and so is one with lazy steps; any other is sent with a Content-Length. `before_head` is
    the pause before the head, in seconds. `preface` is sent as it is before the head, as no service
    does. `opening` are steps that come before both, and are sent as they are too. `pacing` says how
    long the tokens of the steps take: then the head is sent with the first step. `interruptions`
    come at a time and not at a place. `response` is the complete response that was rendered, for
    observers; None if that is not known, or if the reply is prepared for many requests.
    """

    status: int
    headers: Headers
    steps: Sequence[Step] | LazySteps
    ending: Ending = COMPLETE
    streamed: bool = False
    before_head: float = 0.0
    preface: bytes = b""
    pacing: Pacing | None = None
    opening: tuple[Step, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    response: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def has_length(self) -> bool:
        """True if the size of the body is known and announced before it is sent."""
        return not self.streamed and not isinstance(self.steps, LazySteps)

    @property
    def body(self) -> bytes:
        """The data of all steps, joined."""
        return b"".join(step.data for step in self.steps)

    @classmethod
    def whole(cls, status: int, headers: Headers, body: bytes) -> Self:
        """Return a reply with a body in one piece, sent at once."""
        return cls(status, headers, (Step((body,)),))

    @classmethod
    def divided(cls, status: int, headers: Headers, pieces: Iterable[bytes]) -> Self:
        """Return a reply with a large body, whose pieces are made before it is sent."""
        return cls(status, headers, DividedBody(pieces))

    @classmethod
    def lazy_whole(
        cls, status: int, headers: Headers, pieces: Callable[[], Iterable[bytes]]
    ) -> Self:
        """Return a reply with a body whose pieces are generated while it is sent."""
        return cls(status, headers, LazySteps(lambda: (Step((piece,)) for piece in pieces())))

    @classmethod
    def stream(cls, status: int, headers: Headers, frames: Iterable[bytes]) -> Self:
        """Return a reply that is sent frame by frame, without pauses."""
        steps = tuple(Step((frame,)) for frame in frames)
        return cls(status, headers, steps, streamed=True)

    def at_once(self, count: int) -> Self:
        """Return a lazy stream with its steps generated, if there are at most `count`; any other
        reply as it is."""
        if not self.streamed or not isinstance(self.steps, LazySteps):
            return self
        few = self.steps.at_most(count)
        return self if few is None else replace(self, steps=few)

    @classmethod
    def lazy_stream(cls, status: int, headers: Headers, frames: Callable[[], Frames]) -> Self:
        """Return a reply like that of `stream`, whose frames are generated while it is sent. After
        each piece of a large one, there is a `PAUSE`."""
        return cls(status, headers, LazySteps(lambda: _steps(frames())), streamed=True)


def _steps(frames: Frames) -> Iterator[Step]:
    for frame in frames:
        yield Step((frame,) if isinstance(frame, bytes) else (yield from with_pauses(frame)))


def with_pauses(pieces: Iterator[bytes]) -> Generator[Step, None, tuple[bytes, ...]]:
    """Return the pieces of a frame; there is a `PAUSE` after each."""
    made: list[bytes] = []
    for piece in pieces:
        made.append(piece)
        yield PAUSE
    return tuple(made)
