"""HTTP/1.1 of a server without I/O: bytes in, whole requests out; replies in, bytes out.

    connection.receive_data(data)
    while (request := connection.next_request()) is not None:
        ... send the reply's `framed` steps ...

`next_request` is called again only when the request before is answered. After an `HTTPError` the
connection reads no more: answer it once, then close.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus

import h11

from mockllm import heads
from mockllm.errors import HTTPError
from mockllm.exchange import Ending, Headers, Reply, Request, Step
from mockllm.heads import Head, Heads

KIB = 1024
MIB = 1024 * KIB

MAX_HEAD = 64 * KIB  # request line and headers
MAX_BODY = 64 * MIB  # the largest request with images and files we know is half of it

MOST_READY = 64 * KIB  # bytes of a reply that is sent in one write, whoever reads how fast

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_EMPTY_LINES = b"\r\n"


class State(Enum):
    """What the connection waits for. Only `_enter` changes it."""

    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    CLOSED = auto()


_FOLLOWS = {
    State.HEAD: {State.BODY, State.CHUNKS, State.CLOSED},
    State.BODY: {State.HEAD, State.CLOSED},
    State.CHUNKS: {State.HEAD, State.CLOSED},
    State.CLOSED: {State.CLOSED},
}


class HTTPConnection:
    """The receiving side of one connection. `heads` is shared by all connections of a server."""

    def __init__(self, heads: Heads, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        # of the server
        self._heads = heads
        # of the connection
        self._max_head = max_head
        self._max_body = max_body
        self._state = State.HEAD
        self._received: list[bytes] = []  # not yet looked at; joined when there may be enough
        self._size = 0  # of all in _received
        self._scanned = 0  # bytes of the head that hold no end of it
        # of the request being read
        self._head: Head | None = None
        self._chunks: h11.Connection | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._continue = False

    @property
    def is_idle(self) -> bool:
        """Whether no part of a request has come since the last whole one."""
        return self._state is State.HEAD and not self._size

    @property
    def unread(self) -> int:
        """The bytes received that belong to no request yet."""
        return self._size

    @property
    def closes(self) -> bool:
        """Whether no request can follow the last one: the client said so, or it was an error."""
        return self._state is State.CLOSED

    @property
    def takes_chunks(self) -> bool:
        """Whether the client of the last request understands a chunked answer (HTTP/1.1)."""
        return self._head is None or self._head.takes_chunks

    def wants_continue(self) -> bool:
        """Whether the client waits for `CONTINUE` before it sends a body. True once a request."""
        wanted, self._continue = self._continue, False
        return wanted

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._state is not State.CLOSED:
            self._received.append(data)
            self._size += len(data)

    def next_request(self) -> Request | None:
        """The next whole request, or None until more bytes come.

        Raises:
            HTTPError: what came is no request, or too large. The connection is closed.
        """
        if self._size == 0 and self._state is not State.BODY:
            return None
        request = self._request_at_once()
        if request is not None:
            return request
        try:
            if self._state is State.HEAD:
                self._read_head()
            if self._state is State.BODY:
                return self._read_body()
            if self._state is State.CHUNKS:
                return self._read_chunks()
        except HTTPError:
            self._enter(State.CLOSED)
            self._received.clear()
            raise
        return None

    def _request_at_once(self) -> Request | None:
        """A request that came alone, in one piece and with a head that is remembered, as nearly
        all do; None for any other. What it takes from the other way is that nothing is stored."""
        if self._state is not State.HEAD or len(self._received) != 1:
            return None
        data = self._received[0]
        end = data.find(heads.END) + len(heads.END)
        head = self._heads.recall_whole(data[:end])
        if head is None or not head.keep_alive or head.length != len(data) - end:
            return None
        if head.length > self._max_body or end > self._max_head:
            return None
        self._received.clear()
        self._size = self._scanned = 0
        self._head = head
        return Request(head.method, head.path, head.query, head.headers, head.first, data[end:])

    def _enter(self, state: State) -> None:
        assert state in _FOLLOWS[self._state], (self._state, state)
        self._state = state

    def _read_head(self) -> None:
        data = self._take_all()
        if not self._scanned:
            data = data.lstrip(_EMPTY_LINES)  # RFC 9112, section 2.2: ignore them before a request
        end = _END_OF_HEAD.search(data, max(0, self._scanned - 3))
        if end is None:
            if len(data) > self._max_head:
                raise _head_too_large(data, self._max_head)
            if data[:1] and data[0] <= 0x20:
                raise HTTPError(400, "Not a valid HTTP request: the request line begins oddly")
            self._put_back(data)
            self._scanned = len(data)
            return
        if end.end() > self._max_head:
            raise _head_too_large(data, self._max_head)
        self._scanned = 0
        head = data[: end.end()]
        self._put_back(data[end.end() :])
        connection = None
        self._head = self._heads.recall(head)
        if self._head is None:
            self._head, connection = heads.parse(head)
            self._heads.remember(head, self._head)
        if self._head.length is None:
            self._chunks = connection
            self._enter(State.CHUNKS)
        else:
            _check_size(self._head.length, self._max_body)
            self._enter(State.BODY)
        self._continue = self._head.expects_continue and not self._size

    def _read_body(self) -> Request | None:
        assert self._head is not None
        length = self._head.length or 0
        if self._size < length:
            return None
        data = self._take_all()
        if len(data) > length:
            self._put_back(data[length:])
            data = data[:length]
        return self._whole(data)

    def _read_chunks(self) -> Request | None:
        assert self._chunks is not None
        try:
            if self._size:  # no bytes would tell h11 that the peer has closed
                self._chunks.receive_data(self._take_all())
            while True:
                event = self._chunks.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Data):
                    self._body.append(bytes(event.data))
                    self._body_size += len(event.data)
                    _check_size(self._body_size, self._max_body)
                if isinstance(event, h11.EndOfMessage):
                    break
        except h11.RemoteProtocolError as exc:
            raise HTTPError(exc.error_status_hint, f"Not a valid HTTP request: {exc}") from exc
        rest, _ = self._chunks.trailing_data
        self._put_back(rest)
        self._chunks = None
        return self._whole(b"".join(self._body))

    def _whole(self, body: bytes) -> Request:
        head = self._head
        assert head is not None
        self._body = []
        self._body_size = 0
        self._continue = False
        self._enter(State.HEAD if head.keep_alive else State.CLOSED)
        return Request(head.method, head.path, head.query, head.headers, head.first, body)

    def _take_all(self) -> bytes:
        data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
        self._received.clear()
        self._size = 0
        return data

    def _put_back(self, data: bytes) -> None:
        if data:
            self._received.insert(0, data)
            self._size += len(data)


def _check_size(size: int, max_body: int) -> None:
    if size > max_body:
        raise HTTPError(413, f"The body is larger than {max_body:,} bytes")


def _head_too_large(data: bytes, max_head: int) -> HTTPError:
    if b"\n" in data[:max_head]:
        return HTTPError(431, f"The headers are larger than {max_head:,} bytes")
    return HTTPError(414, f"The request line is longer than {max_head:,} bytes")


# --- Sending -------------------------------------------------------------------------------------


def framed(
    reply: Reply, *, chunks: bool = True, close: bool = False, head_only: bool = False
) -> tuple[Step, ...]:
    """The steps of `reply` as they go over the wire, its head joined to the first.

    A streamed reply is chunked, one chunk a step, or ends with the connection where the client
    does not understand that (`chunks` is False: HTTP/1.0). With `close` the head announces that
    the connection closes; with `head_only` (the method was HEAD) nothing follows the head.
    """
    writer = _writer(b"HEAD" if head_only else b"GET", b"1.1" if chunks else b"1.0", close=close)
    headers = list(reply.headers)
    if not reply.streamed:
        headers.append((b"content-length", b"%d" % sum(len(data) for _, data in reply.steps)))
    reason = _REASONS.get(reply.status, b"")
    response = h11.Response(status_code=reply.status, headers=headers, reason=reason)
    head = writer.send(response) or b""
    if head_only:
        return (Step(0.0, head),)
    steps = [Step(pause, writer.send(h11.Data(data)) or b"") for pause, data in reply.steps]
    end = writer.send(h11.EndOfMessage()) or b"" if reply.ending is Ending.COMPLETE else b""
    return _joined(head, steps, end)


class Framing:
    """How replies with the head and the pauses of `reply` go over a connection that stays open.

    `ready` is what `framed` makes of such a reply, joined. Only the head is made by h11, once:
    framing a small answer takes 0.5 µs instead of 30. A property test holds the two equal.
    """

    __slots__ = ("_after", "_at_once", "_before", "_streamed")

    def __init__(self, reply: Reply) -> None:
        pauses = any(pause for pause, _ in reply.steps)
        self._at_once = reply.ending is Ending.COMPLETE and not pauses
        self._streamed = reply.streamed
        self._before, self._after = _head_around_length(
            reply.status, reply.headers, streamed=reply.streamed
        )

    def ready(self, parts: Sequence[bytes]) -> bytes | None:
        """The whole delivery of the data of the reply's steps; None where something pauses, where
        it ends otherwise than complete, and where it is large."""
        size = sum(map(len, parts))
        if not self._at_once or size > MOST_READY:
            return None
        if not self._streamed:
            return b"%b%d%b%b" % (self._before, size, self._after, b"".join(parts))
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
        return b"%b%b0\r\n\r\n" % (self._before, b"".join(chunks))


@lru_cache(maxsize=256)  # a server has a handful of heads
def _head_around_length(status: int, headers: Headers, *, streamed: bool) -> tuple[bytes, bytes]:
    """A head, cut in two where the length of the body belongs; a stream's is whole."""
    (step,) = framed(Reply(status, headers, (), Ending.CUT, streamed=streamed))
    if streamed:
        return step.data, b""
    before, length, after = step.data.rpartition(b"content-length: 0")
    return before + length[:-1], after


def _joined(head: bytes, steps: list[Step], end: bytes) -> tuple[Step, ...]:
    """`steps` with the head before the first and the end behind the last."""
    if not steps:
        return (Step(0.0, head + end),)
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        return (Step(first.pause, head + first.data + end),)
    return (
        Step(first.pause, head + first.data),
        *steps[1:-1],
        Step(last.pause, last.data + end),
    )


def _writer(method: bytes, version: bytes, *, close: bool) -> h11.Connection:
    """An h11 connection that may send one response to such a request."""
    connection = h11.Connection(h11.SERVER)
    fields = b"host: mockllm\r\nconnection: close\r\n" if close else b"host: mockllm\r\n"
    connection.receive_data(b"%s / HTTP/%s\r\n%s\r\n" % (method, version, fields))
    connection.next_event()
    return connection


_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
