"""One request over a socket, and whether the answer is the right one.

Before anything is measured a server must have answered rightly: a fast error is no figure.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import orjson

from benchmarks.loads import Answer

PATIENCE = 30.0  # seconds for one answer
_END_OF_STREAM = b"data: [DONE]\n\n\r\n0\r\n\r\n"
SMALL_BUFFER = 8 * 1024  # bytes; a connection with it is slow for ever, however fast it is read
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no TIME_WAIT, of which there would be thousands


class WrongAnswerError(Exception):
    """A server answered something else than it must, and what."""


@dataclass(frozen=True, slots=True)
class Received:
    """An answer: `raw` is what came over the wire, `body` what it means."""

    status: int
    body: bytes
    raw: bytes


def ask(port: int, request: bytes) -> Received:
    """The answer to `request` on a connection of its own.

    Raises:
        WrongAnswerError: what came is no HTTP answer, or none came in time.
    """
    with _connected(port) as sock:
        return _ask_on(sock, request)


@contextlib.contextmanager
def idle_connections(port: int, request: bytes, count: int) -> Iterator[None]:
    """Keep `count` connections open that have each had one answer and are silent since."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(_connected(port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _ask_on(sock, request)
        yield


@contextlib.contextmanager
def slow_readers(
    port: int, request: bytes, count: int, *, buffer: int = SMALL_BUFFER
) -> Iterator[list[socket.socket]]:
    """Keep `count` connections open that have asked and read no more than the first byte. The
    system takes `buffer` bytes for each, or as few as it can."""
    readers = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.connect(("127.0.0.1", port))
            sock.sendall(request)
            if not sock.recv(1):
                raise WrongAnswerError("no answer: the connection was closed")
            readers.append(sock)
        yield readers


def read_stream_to_end(sock: socket.socket) -> None:
    """Read what is left of a streamed answer.

    Raises:
        WrongAnswerError: it was cut.
    """
    last = b""
    try:
        while not last.endswith(_END_OF_STREAM):
            data = sock.recv(1 << 18)
            if not data:
                raise WrongAnswerError(f"a stream was cut after {last!r}")
            last = (last + data)[-len(_END_OF_STREAM) :]
    except OSError as exc:
        raise WrongAnswerError(f"a stream was cut: {exc!r}") from exc


def check(received: Received, wanted: Answer) -> None:
    """Raises:
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
        raise WrongAnswerError(f"the body is no chat completion: {exc!r}") from exc
    if text != wanted.text:
        raise WrongAnswerError(f"the text is {text[:60]!r} instead of {wanted.text[:60]!r}")
    if chunks != wanted.chunks:
        raise WrongAnswerError(f"{chunks} chunks with text instead of {wanted.chunks}")


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        yield sock


def _ask_on(sock: socket.socket, request: bytes) -> Received:
    client = h11.Connection(h11.CLIENT)
    _sent_by(client, request)
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


def _sent_by(client: h11.Connection, request: bytes) -> None:
    """Tell `client` that `request` has gone out. It needs to know the method only."""
    method = request.split(b" ", 1)[0]
    client.send(h11.Request(method=method, target="/", headers=[("host", "127.0.0.1")]))
    client.send(h11.EndOfMessage())


def _whole(body: bytes) -> str:
    text: str = orjson.loads(body)["choices"][0]["message"]["content"]
    return text


def _streamed(body: bytes) -> tuple[str, int]:
    """The text of a stream, and how many of its chunks bear some of it."""
    frames = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for frame in frames for choice in orjson.loads(frame)["choices"]]
    texts = [choice["delta"].get("content") for choice in choices]
    texts = [text for text in texts if text]
    return "".join(texts), len(texts)
