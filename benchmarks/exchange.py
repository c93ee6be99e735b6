"""Sends single requests over a socket and checks the answers.

A server is measured only after it has answered correctly: a fast error would be a false figure.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, cast

import h11
import orjson

from benchmarks.loads import Answer

TIMEOUT = 30.0  # seconds for one answer
HEALTH = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
_END_OF_STREAM = b"data: [DONE]\n\n\r\n0\r\n\r\n"
SMALL_BUFFER = 8 * 1024  # bytes; keeps a connection slow, even if it is read fast later
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: avoids thousands of sockets in TIME_WAIT


class WrongAnswerError(Exception):
    """A server did not give the expected answer; the message describes the difference."""


@dataclass(frozen=True, slots=True)
class Received:
    """An answer: `raw` are all bytes from the wire, `body` is the body without its framing."""

    status: int
    body: bytes
    raw: bytes


def fetch(port: int, request: bytes) -> Received:
    """Send `request` on a new connection and return the answer.

    Raises:
        WrongAnswerError: the answer is not HTTP, or did not arrive in time.
    """
    with _connected(port) as sock:
        return _fetch_on(sock, request)


def read_late(port: int) -> float:
    """Return what 99 of 100 steps of a paced server were late by at most, in seconds: its own
    figure, of `GET /health`.

    Raises:
        WrongAnswerError: there is no answer, or none with such a figure.
    """
    body = fetch(port, HEALTH).body
    try:
        return float(json.loads(body)["timing"]["late_ms"]["p99"]) / 1000
    except (ValueError, LookupError, TypeError) as exc:
        raise WrongAnswerError(f"/health answered {body[:100]!r}") from exc


@contextlib.contextmanager
def idle_connections(port: int, request: bytes, count: int) -> Iterator[None]:
    """Open `count` connections, make one request on each, and leave them idle.

    Raises:
        WrongAnswerError: a request was not answered.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(_connected(port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _fetch_on(sock, request)
        yield


@contextlib.contextmanager
def slow_readers(
    port: int, request: bytes, count: int, *, buffer: int = SMALL_BUFFER
) -> Iterator[list[socket.socket]]:
    """Open `count` connections that send `request` and read only the first byte of the answer.
    Their receive buffers have `buffer` bytes, or the kernel's minimum.

    Raises:
        WrongAnswerError: a connection was closed without an answer.
    """
    readers = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(TIMEOUT)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.connect(("127.0.0.1", port))
            sock.sendall(request)
            if not sock.recv(1):
                raise WrongAnswerError("no answer: the connection was closed")
            readers.append(sock)
        yield readers


class Streams:
    """Connections that each ask for a stream, at different times within `spread` seconds, and read
    it to its end."""

    def __init__(self, port: int, request: bytes, count: int, *, spread: float) -> None:
        self._request = request
        self._pause = spread / count
        self._selector = selectors.DefaultSelector()
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self._selector)
        self._sockets = [self._stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in self._sockets:
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self) -> None:
        """Send all requests."""
        for sock in self._sockets:
            sock.send(self._request)
            time.sleep(self._pause)

    def read(self) -> None:
        """Read all streams to their ends.

        Raises:
            WrongAnswerError: a stream ended early, or nothing more came.
        """
        left = len(self._sockets)
        while left:
            ready = self._selector.select(TIMEOUT)
            if not ready:
                raise WrongAnswerError(f"{left} streams have stopped")
            for key, _ in ready:
                data = cast("socket.socket", key.fileobj).recv(1 << 16)
                if data.endswith(_END_OF_STREAM):
                    self._selector.unregister(key.fileobj)
                    left -= 1
                elif not data:
                    raise WrongAnswerError("a stream ended early")


def read_stream_to_end(sock: socket.socket) -> None:
    """Read the rest of a streamed answer.

    Raises:
        WrongAnswerError: the stream ended early.
    """
    last = b""
    try:
        while not last.endswith(_END_OF_STREAM):
            data = sock.recv(1 << 18)
            if not data:
                raise WrongAnswerError(f"a stream ended early, after {last!r}")
            last = (last + data)[-len(_END_OF_STREAM) :]
    except OSError as exc:
        raise WrongAnswerError(f"a stream ended early: {exc!r}") from exc


def check(received: Received, wanted: Answer) -> None:
    """Check an answer.

    Raises:
        WrongAnswerError: `received` is not what `wanted` describes.
    """
    if received.status != wanted.status:
        shown = received.body[:100].decode("utf-8", "replace")
        raise WrongAnswerError(f"status {received.status} instead of {wanted.status}: {shown}")
    if not wanted.text:
        return
    try:
        text, chunks = _streamed(received.body) if wanted.chunks else (_whole(received.body), 0)
    except (ValueError, LookupError, TypeError) as exc:
        raise WrongAnswerError(f"the body is not a chat completion: {exc!r}") from exc
    if text != wanted.text:
        raise WrongAnswerError(f"the text is {text[:60]!r} instead of {wanted.text[:60]!r}")
    if chunks != wanted.chunks:
        raise WrongAnswerError(f"{chunks} chunks with text instead of {wanted.chunks}")


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        yield sock


def _fetch_on(sock: socket.socket, request: bytes) -> Received:
    client = h11.Connection(h11.CLIENT)
    _register_request(client, request)
    status, raw, body = 0, b"", b""
    try:
        sock.sendall(request)
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                data = sock.recv(1 << 18)
                raw += data
                client.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Received(status, body, raw)
    except (OSError, h11.RemoteProtocolError) as exc:
        raise WrongAnswerError(f"no answer: {exc!r}") from exc


def _register_request(client: h11.Connection, request: bytes) -> None:
    """Put h11's `client` into the state after `request`. Only the method matters to it."""
    method = request.split(b" ", 1)[0]
    client.send(h11.Request(method=method, target="/", headers=[("host", "127.0.0.1")]))
    client.send(h11.EndOfMessage())


def _whole(body: bytes) -> str:
    text: str = orjson.loads(body)["choices"][0]["message"]["content"]
    return text


def _streamed(body: bytes) -> tuple[str, int]:
    """The text of a stream, and the number of chunks that contain some of it."""
    frames = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for frame in frames for choice in orjson.loads(frame)["choices"]]
    texts = [choice["delta"].get("content") for choice in choices]
    texts = [text for text in texts if text]
    return "".join(texts), len(texts)
