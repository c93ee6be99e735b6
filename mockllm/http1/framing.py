"""The sending side of HTTP/1.1: replies as the bytes that go over the wire.

`frames` is the plain way: h11 writes every byte. `Framing` is the fast one for what most
connections get, equal by a property test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus

import h11

from mockllm.exchange import Ending, Headers, Reply, Step, slices

KIB = 1024

SLICE = 32 * KIB  # bytes of a frame; a large answer to a slow peer is never copied whole
MAX_READY = 64 * KIB  # bytes of a reply that is sent in one write, whoever reads how fast

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

BODILESS = frozenset({204, 304})  # statuses whose answers end with their head (RFC 9112, 6.3)

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def must_close(reply: Reply, *, is_http11: bool) -> bool:
    """Whether the end of the connection is the end of `reply`: a stream, where the client does not
    understand chunks."""
    return reply.streamed and not is_http11


def frames(
    reply: Reply, *, is_http11: bool = True, close: bool = False, head_only: bool = False
) -> Iterator[Step]:
    """The head of `reply`, then its steps, as they go over the wire; made as they are asked for.

    A streamed reply is chunked, one chunk a step. To an HTTP/1.0 client (`is_http11` is False) it
    ends with the connection, and any other reply announces that the connection stays. With `close`
    the head announces that it closes; with `head_only` (the method was HEAD) nothing follows the
    head. Data is cut where it is large, but never in a mark.
    """
    close = close or must_close(reply, is_http11=is_http11)
    chunked = reply.streamed and is_http11
    method = b"HEAD" if head_only else b"GET"
    writer = _writer(method, b"1.1" if chunked or not reply.streamed else b"1.0", close=close)
    headers = list(reply.headers)
    if not is_http11 and not close:
        headers.append((b"connection", b"keep-alive"))
    if not reply.streamed and reply.status not in BODILESS:
        headers.append((b"content-length", b"%d" % sum(len(data) for _, data in reply.steps)))
    reason = _REASONS.get(reply.status, b"")
    response = h11.Response(status_code=reply.status, headers=headers, reason=reason)
    yield Step(0.0, writer.send(response) or b"")
    if head_only:
        return
    for pause, data in reply.steps:
        if len(data) <= SLICE:
            yield Step(pause, writer.send(h11.Data(data)) or b"")
        else:
            yield Step(pause, b"")
            for part in writer.send_with_data_passthrough(h11.Data(data)) or ():
                yield from (Step(0.0, piece) for piece in slices(part, SLICE))
    if reply.ending is Ending.COMPLETE:
        yield Step(0.0, writer.send(h11.EndOfMessage()) or b"")


def _writer(method: bytes, version: bytes, *, close: bool) -> h11.Connection:
    """An h11 connection that may send one response to such a request."""
    connection = h11.Connection(h11.SERVER)
    fields = b"host: mockllm\r\nconnection: close\r\n" if close else b"host: mockllm\r\n"
    connection.receive_data(b"%s / HTTP/%s\r\n%s\r\n" % (method, version, fields))
    connection.next_event()
    return connection


class Framing:
    """How replies with the head and the pauses of `reply` go over a connection that stays open.

    `ready` is what `frames` makes of such a reply, joined. Only the head is made by h11, once:
    framing a small answer takes 0.5 µs instead of 30.
    """

    __slots__ = ("_after", "_at_once", "_before", "_bodiless", "_streamed")

    def __init__(self, reply: Reply) -> None:
        pauses = any(pause for pause, _ in reply.steps)
        self._at_once = reply.ending is Ending.COMPLETE and not pauses
        self._bodiless = reply.status in BODILESS
        self._streamed = reply.streamed
        self._before, self._after = _head_around_length(
            reply.status, reply.headers, streamed=reply.streamed
        )

    def ready(self, parts: Sequence[bytes]) -> bytes | None:
        """The whole delivery of the data of the reply's steps; None where something pauses, where
        it ends otherwise than complete, and where it is large."""
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
    """A head, cut in two where the length of the body belongs; whole where it tells none."""
    head = next(frames(Reply(status, headers, (), streamed=streamed))).data
    if streamed or status in BODILESS:
        return head, b""
    before, length, after = head.rpartition(b"content-length: 0")
    return before + length[:-1], after
