"""The sending side of HTTP/1.1: replies as the bytes that go over the wire.

`frames` is the plain way: h11 writes every byte. `FastFraming` is the fast one for what most
connections get, equal by a property test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple, cast

import h11

from mockllm.exchange import COMPLETE, EndingKind, Headers, Reply, Step
from mockllm.limits import KIB

MAX_READY = 64 * KIB  # bytes of a reply that is sent in one write, whoever reads how fast

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

BODILESS = frozenset({204, 304})  # statuses whose answers end with their head (RFC 9112, 6.3)

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Frame(NamedTuple):
    """Bytes on the wire: wait `pause` seconds after the frame before, then send `data`."""

    pause: float
    data: bytes


def must_close(reply: Reply, *, is_http11: bool) -> bool:
    """Return whether the end of the connection is the end of `reply`: a stream, where the client
    does not understand chunks."""
    return reply.streamed and not is_http11


def frames(
    reply: Reply, *, is_http11: bool = True, close: bool = False, head_only: bool = False
) -> Iterator[Frame]:
    """The head of `reply`, then its steps, as they go over the wire; made as they are taken.

    A streamed reply is chunked, one chunk a step. To an HTTP/1.0 client (`is_http11` is False) it
    ends with the connection, and any other reply announces that the connection stays. With `close`
    the head announces that the connection closes; with `head_only` (the method was HEAD) nothing
    follows the head. A large step has a frame for each of its pieces. What follows the reply's
    ending is left out; closing or resetting the connection is the caller's business.
    """
    close = close or must_close(reply, is_http11=is_http11)
    version = b"1.0" if reply.streamed and not is_http11 else b"1.1"
    writer = _writer(b"HEAD" if head_only else b"GET", version, close=close)
    yield Frame(reply.before_head, _head(writer, reply, is_http11=is_http11, close=close))
    if head_only:
        return
    yield from _body(writer, reply)
    if reply.ending.kind in (EndingKind.COMPLETE, EndingKind.CLEAN):
        yield Frame(0.0, writer.send(h11.EndOfMessage()) or b"")


def _head(writer: h11.Connection, reply: Reply, *, is_http11: bool, close: bool) -> bytes:
    headers = list(reply.headers)
    if not is_http11 and not close:
        headers.append((b"connection", b"keep-alive"))
    if not reply.streamed and reply.status not in BODILESS:
        headers.append((b"content-length", b"%d" % _announced_length(reply)))
    reason = _REASONS.get(reply.status, b"")
    response = h11.Response(status_code=reply.status, headers=headers, reason=reason)
    return writer.send(response) or b""


def _announced_length(reply: Reply) -> int:
    size = sum(step.size for step in reply.steps)
    kind, after = reply.ending
    return min(size, after) if kind is EndingKind.CLEAN and after is not None else size


def _body(writer: h11.Connection, reply: Reply) -> Iterator[Frame]:
    """The frames of the steps, up to the ending."""
    kind, left = reply.ending
    for step in reply.steps:
        if left is None or step.size < left:
            yield from _step(writer, step)
        elif kind is EndingKind.CLEAN:  # what is sent of the step is a chunk of its own
            yield from _step(writer, step._replace(pieces=tuple(_first_bytes(step, left))))
            return
        else:
            yield from _step(writer, step, up_to=left)
            return
        left = None if left is None else left - step.size


def _step(writer: h11.Connection, step: Step, *, up_to: int | None = None) -> Iterator[Frame]:
    """The frames of one step; of its bytes only those `up_to` there, though more are announced."""
    if len(step.pieces) == 1 and up_to is None:
        yield Frame(step.pause, writer.send(h11.Data(step.pieces[0])) or b"")
        return
    pause = step.pause
    for part in writer.send_with_data_passthrough(h11.Data(cast("bytes", _Sized(step)))) or ():
        if not isinstance(part, _Sized):
            yield Frame(pause, part)
            pause = 0.0
            continue
        for piece in step.pieces if up_to is None else _first_bytes(step, up_to):
            yield Frame(pause, piece)
            pause = 0.0
        if up_to is not None:
            return


class _Sized:
    """A step where h11 asks for data: it looks at the length and passes the object through."""

    def __init__(self, step: Step) -> None:
        self._size = step.size

    def __len__(self) -> int:
        return self._size


def _first_bytes(step: Step, count: int) -> Iterator[bytes]:
    """The pieces that hold the first `count` bytes of a step, the last one cut."""
    for piece in step.pieces:
        if count <= len(piece):
            yield piece[:count]
            return
        yield piece
        count -= len(piece)


def _writer(method: bytes, version: bytes, *, close: bool) -> h11.Connection:
    """An h11 connection that may send one response to such a request."""
    connection = h11.Connection(h11.SERVER)
    fields = b"host: mockllm\r\nconnection: close\r\n" if close else b"host: mockllm\r\n"
    connection.receive_data(b"%s / HTTP/%s\r\n%s\r\n" % (method, version, fields))
    connection.next_event()
    return connection


class FastFraming:
    """The framing of replies that differ in their steps' bytes only, on a connection that stays
    open.

    `ready` is what `frames` makes of such a reply, joined. Only the head is made by h11, once:
    framing a small answer takes 0.5 µs instead of 30.
    """

    __slots__ = ("_after", "_at_once", "_before", "_bodiless", "_streamed")

    def __init__(self, reply: Reply) -> None:
        self._at_once = (
            isinstance(reply.steps, tuple)
            and reply.ending == COMPLETE
            and not reply.before_head
            and not any(step.pause for step in reply.steps)
        )
        self._bodiless = reply.status in BODILESS
        self._streamed = reply.streamed
        self._before, self._after = _head_around_length(
            reply.status, reply.headers, streamed=reply.streamed
        )

    def ready(self, parts: Sequence[bytes]) -> bytes | None:
        """The whole delivery, given the data of each step; None where something pauses, where the
        reply does not end complete or is made as it is taken, and where it is large."""
        size = sum(map(len, parts))
        if not self._at_once or size > MAX_READY:
            return None
        if self._bodiless:
            return self._before
        if not self._streamed:
            return b"%b%d%b%b" % (self._before, size, self._after, b"".join(parts))
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
        return b"%b%b0\r\n\r\n" % (self._before, b"".join(chunks))


@lru_cache(maxsize=256)  # a server has a handful of heads
def _head_around_length(status: int, headers: Headers, *, streamed: bool) -> tuple[bytes, bytes]:
    """A head, cut in two where the length of the body belongs; whole where there is none."""
    head = next(frames(Reply(status, headers, (), streamed=streamed))).data
    if streamed or status in BODILESS:
        return head, b""
    before, length, after = head.rpartition(b"content-length: 0")
    return before + length[:-1], after
