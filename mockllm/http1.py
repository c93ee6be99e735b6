"""The receiving side of HTTP/1.1 without I/O: bytes in, whole requests out.

    connection.receive_data(data)
    while (request := connection.next_request()) is not None:
        ... answer it (`mockllm.framing`) ...

`next_request` is called again only when the request before is answered. After an `HTTPError` the
connection reads no more: answer it once, then close.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import h11

from mockllm import heads
from mockllm.errors import HTTPError
from mockllm.exchange import Request
from mockllm.heads import Head, Heads
from mockllm.limits import Limits

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

    def __init__(self, heads: Heads, limits: Limits | None = None) -> None:
        # of the server
        self._heads = heads
        self._limits = limits or Limits()
        # of the connection
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
    def is_reading_body(self) -> bool:
        """Whether a head is read, and the body that belongs to it is not whole."""
        return self._state in (State.BODY, State.CHUNKS)

    @property
    def unread(self) -> int:
        """The bytes received that belong to no whole request yet, without a head that is read."""
        return self._size + self._body_size

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
        if head.length > self._limits.body or end > self._limits.head:
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
            if len(data) > self._limits.head:
                raise _head_too_large(data, self._limits.head)
            if data[:1] and data[0] <= 0x20:
                raise HTTPError(400, "Not a valid HTTP request: the request line begins oddly")
            self._put_back(data)
            self._scanned = len(data)
            return
        if end.end() > self._limits.head:
            raise _head_too_large(data, self._limits.head)
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
            _check_size(self._head.length, self._limits.body)
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
                    _check_size(self._body_size, self._limits.body)
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
