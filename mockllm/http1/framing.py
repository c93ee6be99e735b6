"""The sending side of HTTP/1.1: encodes replies as the bytes on the wire.

`frames` is the reference: h11 writes every byte. `FastFraming` is a faster equivalent for the most
common replies; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import NamedTuple, cast

import h11

from mockllm.exchange import BODILESS, COMPLETE, EndingKind, Headers, LazySteps, Reply, Step
from mockllm.limits import KIB

MAX_READY = 64 * KIB  # bytes of a reply that is sent in one write, however slow the client

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"  # RFC 9112, section 7.1

_new = tuple.__new__  # half the time of the class's own constructor

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Frame(NamedTuple):
    """Bytes on the wire: `data`, sent `pause` seconds after the previous frame. With a `size`, only
    so many of the first bytes are sent, counted once the values of the delivery are filled in.
    `tokens` and `gate` are those of its step (`exchange.Step`)."""

    pause: float
    data: bytes
    size: int | None = None
    tokens: int = 0
    gate: str = ""


PAUSE = Frame(0.0, b"")
"""The frame of a step that sends nothing (`exchange.PAUSE`)."""


def must_close(reply: Reply, *, is_http11: bool) -> bool:
    """True if `reply` ends with the connection: one without a length, to a client that does not
    understand chunks."""
    return not reply.has_length and not is_http11


def frames(
    reply: Reply, *, is_http11: bool = True, close: bool = False, head_only: bool = False
) -> Iterator[Frame]:
    """Yield what opens `reply` as it is, then its head, then its steps, encoded lazily.

    A reply without a length has one chunk per step. To an HTTP/1.0 client (`is_http11` is False) it
    ends with the connection, and any other reply announces that the connection stays. With `close`
    the head announces that the connection closes; with `head_only` (the method was HEAD) nothing
    follows the head. A large step has a frame for each of its pieces. Bytes after the reply's
    ending are left out; closing or resetting the connection, and an ending at a time, are left to
    the caller.
    """
    for step in reply.opening:
        yield Frame(step.pause, step.data, gate=step.gate)
    unchunked = must_close(reply, is_http11=is_http11)
    close = close or unchunked
    version = b"1.0" if unchunked else b"1.1"
    writer = _writer(b"HEAD" if head_only else b"GET", version, close=close)
    head = _head(writer, reply, is_http11=is_http11, close=close)
    share = reply.ending.head
    size = None if share == 1 else len(reply.preface) + int(len(head) * share)
    yield Frame(reply.before_head, reply.preface + head, size)
    if head_only or size is not None:
        return
    yield from _body(writer, reply)
    kind = reply.ending.kind
    if kind in (EndingKind.COMPLETE, EndingKind.CLEAN) or reply.ending.time is not None:
        last = writer.send(h11.EndOfMessage())
        if last:  # an empty frame would end the delivery after the client has read all of it
            yield Frame(0.0, last)


def _head(writer: h11.Connection, reply: Reply, *, is_http11: bool, close: bool) -> bytes:
    headers = list(reply.headers)
    if not is_http11 and not close:
        headers.append((b"connection", b"keep-alive"))
    if reply.has_length and reply.status not in BODILESS:
        headers.append((b"content-length", b"%d" % _announced_length(reply)))
    reason = _REASONS.get(reply.status, b"")
    response = h11.Response(status_code=reply.status, headers=headers, reason=reason)
    return writer.send(response) or b""


def fastest_frames(reply: Reply, *, is_http11: bool, close: bool) -> Iterator[Frame]:
    """Return the `frames` of `reply`, made without h11 if they can be."""
    if is_plain(reply, is_http11=is_http11, close=close):
        return FastFraming(reply).frames(reply.steps)
    return frames(reply, is_http11=is_http11, close=close)


def is_plain(reply: Reply, *, is_http11: bool, close: bool) -> bool:
    """True if `FastFraming` makes the `frames` of `reply`."""
    opens = reply.before_head or reply.preface or reply.opening
    is_whole = reply.ending == COMPLETE and (reply.streamed or reply.has_length)
    return is_whole and not opens and is_http11 and not close


def hold_head(frames: Iterator[Frame], opening: int = 0) -> Iterator[Frame]:
    """Return `frames` with the head, which comes after the `opening` frames, and what follows it in
    one. Values of the delivery in a head may be shorter than their placeholders, so it is not
    joined with a frame that is cut; nor with a wait, which comes after it. The first step is made
    at once."""
    opened = [next(frames) for _ in range(opening)]
    held = _hold_head(frames)
    return chain(opened, held) if opened else held


def _hold_head(frames: Iterator[Frame]) -> Iterator[Frame]:
    head = next(frames)
    first = next(frames, Frame(0.0, b""))
    if first.gate or (first.pause and not first.data):
        return chain([head, first], frames)
    pause = head.pause + first.pause
    if head.size is None and first.size is None:
        return chain([Frame(pause, head.data + first.data, None, first.tokens)], frames)
    held = Frame(pause, head.data, head.size, first.tokens)
    return chain([held, first._replace(pause=0.0, tokens=0)], frames)


def _announced_length(reply: Reply) -> int:
    size = sum(step.size for step in reply.steps)
    after = reply.ending.after
    is_clean = reply.ending.kind is EndingKind.CLEAN
    return min(size, after) if is_clean and after is not None else size


def _body(writer: h11.Connection, reply: Reply) -> Iterator[Frame]:
    """The frames of the steps, up to the ending."""
    left = reply.ending.after
    for step in reply.steps:
        if left == 0 and step.size:  # an empty step waits before the ending
            return
        if left is None or step.size <= left:
            yield from _step(writer, step)
        else:
            is_clean = reply.ending.kind is EndingKind.CLEAN
            yield from _step(writer, step, up_to=left, whole_chunk=is_clean)
            return
        left = None if left is None else left - step.size


def _step(
    writer: h11.Connection, step: Step, *, up_to: int | None = None, whole_chunk: bool = False
) -> Iterator[Frame]:
    """The frames of one step. With `up_to` only that many of its bytes. Then its chunk announces
    all of them, unless it is a `whole_chunk` of those that are sent."""
    if up_to is None and (len(step.pieces) == 1 or not step.size):
        data = writer.send(h11.Data(step.data)) or b""  # empty: it only waits
        yield Frame(step.pause, data, None, step.tokens, step.gate)
        return
    pause, tokens, gate = step.pause, step.tokens, step.gate
    announced = up_to if whole_chunk and up_to is not None else step.size
    sized = h11.Data(cast("bytes", _Sized(announced)))
    for part in writer.send_with_data_passthrough(sized) or ():
        if not isinstance(part, _Sized):
            yield Frame(pause, part, None, tokens, gate)
            pause, tokens, gate = 0.0, 0, ""
            continue
        for piece, size in _first_pieces(step, up_to):
            yield Frame(pause, piece, size, tokens, gate)
            pause, tokens, gate = 0.0, 0, ""
        if up_to is not None and not whole_chunk:
            return


class _Sized:
    """Stands for the data of a step: h11 only reads its length and passes the object through."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def _first_pieces(step: Step, up_to: int | None) -> Iterator[tuple[bytes, int | None]]:
    """The pieces of a step up to a number of bytes, each with the number of its bytes that count;
    None if all do. A piece is not cut here, where a placeholder may be at the place."""
    left = step.size if up_to is None else up_to
    for piece in step.pieces:
        if left < len(piece):
            if left:
                yield piece, left
            return
        yield piece, None
        left -= len(piece)


def _writer(method: bytes, version: bytes, *, close: bool) -> h11.Connection:
    """An h11 connection that is ready to send one response to a request with this method."""
    connection = h11.Connection(h11.SERVER)
    fields = b"host: mockllm\r\nconnection: close\r\n" if close else b"host: mockllm\r\n"
    connection.receive_data(b"%s / HTTP/%s\r\n%s\r\n" % (method, version, fields))
    connection.next_event()
    return connection


class FastFraming:
    """Frames replies that differ only in the bytes of their steps, on a connection that stays open.

    `ready` returns the joined `frames` of such a reply. Only the head is written by h11, once:
    framing a small answer takes 0.5 µs instead of 30.
    """

    __slots__ = ("_bodiless", "after", "before", "is_at_once", "streamed")

    def __init__(self, reply: Reply) -> None:
        self.is_at_once = (
            not isinstance(reply.steps, LazySteps)
            and reply.ending == COMPLETE
            and not reply.before_head
            and not reply.preface
            and not reply.opening
            and not reply.interruptions
            and reply.pacing is None
            and not any(step.pause or step.gate for step in reply.steps)
        )
        """True if such a reply is complete, and has no pause, no gate and no pacing."""
        self._bodiless = reply.status in BODILESS
        self.streamed = reply.streamed
        """True if each step is a chunk."""
        self.before, self.after = _head_around_length(
            reply.status, reply.headers, streamed=reply.streamed
        )
        """The head, whole in `before` if it is streamed; else in two halves, around the length."""

    def frames(self, steps: Iterable[Step]) -> Iterator[Frame]:
        """Yield the `frames` of a complete reply, which may have pauses; for a large step one
        for each of its pieces, for a small one a single frame."""
        if self._bodiless:
            yield Frame(0.0, self.before)
            return
        if not self.streamed:
            steps = tuple(steps)
            size = sum(step.size for step in steps)
            yield Frame(0.0, b"%b%d%b" % (self.before, size, self.after))
        else:
            yield Frame(0.0, self.before)
        for pieces, pause, tokens, gate in steps:
            first, *others = pieces
            if not self.streamed:
                yield Frame(pause, first, None, tokens, gate)
                yield from (Frame(0.0, piece) for piece in others)
            elif not others:
                data = b"%x\r\n%b\r\n" % (len(first), first) if first else b""
                yield _new(Frame, (pause, data, None, tokens, gate))
            elif not any(pieces):
                yield Frame(pause, b"", None, tokens, gate)
            else:
                yield Frame(pause, b"%x\r\n" % sum(map(len, pieces)), None, tokens, gate)
                yield from (Frame(0.0, piece) for piece in pieces)
                yield Frame(0.0, b"\r\n")
        if self.streamed:
            yield Frame(0.0, LAST_CHUNK)

    def ready(self, parts: Sequence[bytes]) -> bytes | None:
        """The whole delivery, given the data of each step. None if the reply has a pause, is
        incomplete, lazy, or larger than `MAX_READY`."""
        size = sum(map(len, parts))
        if not self.is_at_once or size > MAX_READY:
            return None
        if self._bodiless:
            return self.before
        if not self.streamed:
            return b"%b%d%b%b" % (self.before, size, self.after, b"".join(parts))
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
        return b"%b%b0\r\n\r\n" % (self.before, b"".join(chunks))


@lru_cache(maxsize=256)  # a server has few different heads
def _head_around_length(status: int, headers: Headers, *, streamed: bool) -> tuple[bytes, bytes]:
    """A head in two parts, to be joined by the length of the body; a head without a length is
    whole."""
    head = next(frames(Reply(status, headers, (), streamed=streamed))).data
    if streamed or status in BODILESS:
        return head, b""
    before, length, after = head.rpartition(b"content-length: 0")
    return before + length[:-1], after
