"""Frames of streams that many answers send one by one, each encoded once for all of them.

A paced stream is sent frame by frame, and thousands of deliveries of one reply may be under way.
With shared frames each of them keeps an iterator instead of a generator, and a frame costs a look
instead of half a microsecond. They equal those of `framing.frames`, as a property test verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

from mockllm.bounded_cache import BoundedCache
from mockllm.exchange import Reply, Step
from mockllm.http1.framing import FastFraming, Frame, fastest_frames, hold_head, is_plain
from mockllm.limits import MIB

MAX_BYTES = 16 * MIB  # of all frames that are kept
MAX_SEEN = 1_000  # replies that may have been sent before
FRAME_BYTES = 300  # of a frame, and of it as it is ready, beside those of their data

Values = Callable[[Any], Any]
"""`values(delivery)`: those of a delivery that are filled in."""

MakeTemplate = Callable[[bytes], tuple[bytes, Values] | None]
"""`make_template(data)`: a template of data and its values, so that ``template % values(delivery)``
is the data with these filled in; None if there are none."""

Ready = tuple[bytes, Values | None, float, int]
"""What is sent with a frame that has no size and no gate, its pause and its tokens: data that is
to be filled in as ever, or a template and its values. An exact tuple is taken apart in a quarter
of the time of a `Frame`."""

Shared = tuple[tuple[Frame, ...], tuple[Ready | None, ...]]
"""Frames that deliveries share, and each as it is sent; None for the first, which is sent with the
head, and one that is not `Ready`."""

NOTHING_SHARED: Shared = ((), ())


class Divided(NamedTuple):
    """The frames of a delivery: its `own`, and those that follow, which begin `at` a place of what
    is `shared` with other deliveries."""

    own: Iterator[Frame]
    shared: Shared = NOTHING_SHARED
    at: int = 0


def _no_template(data: bytes) -> None:
    """Make no template."""


def share(frames: Sequence[Frame], make_template: MakeTemplate = _no_template) -> Shared:
    """Return frames to be shared, the first of which is sent with the head."""
    ready = [_ready(frame, make_template) for frame in frames]
    ready[:1] = [None][: len(ready)]
    return tuple(frames), tuple(ready)


def _ready(frame: Frame, make_template: MakeTemplate) -> Ready | None:
    if frame.size is not None or frame.gate:
        return None
    data, values = make_template(frame.data) or (frame.data, None)
    return data, values, frame.pause, frame.tokens


class _Framed:
    """The frames of `steps`, made when they are first asked for."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps  # kept alive, so that no others have their identity
        self._shared = NOTHING_SHARED

    def frames(self, framing: FastFraming, make_template: MakeTemplate) -> Shared:
        """Return the frames of a reply with these steps, without its head."""
        if not self._shared[0]:
            frames = tuple(framing.frames(self._steps))[1:]
            self._shared = share(frames, make_template)
        return self._shared

    def size(self) -> int:
        """Return the bytes that the frames take, about."""
        return sum(2 * step.size + FRAME_BYTES for step in self._steps)


class SharedFrames:
    """The frames of replies, which are kept from the second time on that a reply is sent. Replies
    with the same steps share them, whatever their heads are."""

    def __init__(
        self, max_bytes: int = MAX_BYTES, *, make_template: MakeTemplate = _no_template
    ) -> None:
        self._make_template = make_template
        self._kept: BoundedCache[int, _Framed] = BoundedCache(max_bytes, max_seen=MAX_SEEN)

    def of(self, reply: Reply, *, is_http11: bool, close: bool) -> Iterator[Frame]:
        """Return the `framing.frames` of `reply`."""
        if not _can_share(reply, is_http11=is_http11, close=close):
            return fastest_frames(reply, is_http11=is_http11, close=close)
        framing = FastFraming(reply)
        framed = self._find(reply)
        if framed is None:
            return framing.frames(reply.steps)
        return chain((Frame(0.0, framing.before),), framed.frames(framing, self._make_template)[0])

    def with_head_held(self, reply: Reply, *, is_http11: bool, close: bool) -> Divided:
        """Return the frames of `reply` with its head held (`framing.hold_head`)."""
        if not _can_share(reply, is_http11=is_http11, close=close):
            frames = fastest_frames(reply, is_http11=is_http11, close=close)
            return Divided(hold_head(frames, len(reply.opening)))
        framing = FastFraming(reply)
        framed = self._find(reply)
        if framed is None:
            return Divided(hold_head(framing.frames(reply.steps)))
        shared = framed.frames(framing, self._make_template)
        return Divided(hold_head(iter((Frame(0.0, framing.before), *shared[0][:1]))), shared, 1)

    def _find(self, reply: Reply) -> _Framed | None:
        """Return the frames of a reply's steps, if it was sent before."""
        steps = cast("tuple[Step, ...]", reply.steps)
        framed = self._kept.get(id(steps))
        if framed is None:
            offered = _Framed(steps)
            self._kept.offer(id(steps), offered, offered.size)
            framed = self._kept.get(id(steps))
        return framed


def _can_share(reply: Reply, *, is_http11: bool, close: bool) -> bool:
    if not reply.streamed or not isinstance(reply.steps, tuple):
        return False
    return is_plain(reply, is_http11=is_http11, close=close)
