"""Requests that a server meets in the field, in tests of smuggling and in fuzzers, and what RFC
9110 and RFC 9112 want of it; and the peer that sends them.

Where the standards leave a choice, this is the server's:

- What is no request by the grammar of RFC 9112 is answered once, and the connection closes. What is
  a request, but refused, leaves it open.
- An HTTP/2 preface and a TLS hello are closed without an answer: their peers read no HTTP/1.1.
- Any major version but 1 is a 505; a minor version above 1 is served as 1.1 (RFC 9110, 2.5).
- HTTP/1.0 stays open where the client asks for it with ``Connection: keep-alive``, but for streams.
- An empty Host is served: a mock has a default authority. So is ``https`` in an absolute target: a
  mock trusts every peer as its gateway (RFC 9110, 7.4).
- Percent-encoded octets that are unreserved are the characters they stand for (RFC 3986, 6.2.2.2),
  so ``/v1/%63hat/completions`` is the endpoint; ``%2F`` is no slash. Dot segments are not resolved:
  a path that begins with a slash is not relative to anything.
- A POST without a length has an empty body (RFC 9112, 6.3), which its provider refuses with a 400.
- An expectation that is not known is a 417 and a close: whether a body follows cannot be known.
- CONNECT is a 501 and a close: what follows may be no HTTP. A method that is not known is a 501.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, Self, cast

import orjson

KIB = 1024
MIB = 1024 * KIB

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
KEY = "Authorization: Bearer any"
LARGE_TEXT = "large "  # the start of what `configuration` answers with a long text

Json = dict[str, Any]


# --- The server's mocks ---------------------------------------------------------------------------


def configuration(words: int = 1) -> Json:
    """Mocks for ``Hello``, for ``tenant`` with a header, for an old ``folded`` header, and for
    ``large`` a text of so many words."""

    def mock(text: str, says: str, *headers: Json) -> Json:
        match = {"message": {"role": "user", "content": text}, "headers": list(headers)}
        return {"match": match, "response": {"choices": [{"message": {"content": says}}]}}

    return {
        "openai": [
            mock("Hello", "Hello there"),
            mock("tenant", "Hello, tenant", {"name": "x-tenant", "value": "a"}),
            mock("folded", "unfolded", {"name": "x-folded", "value": "a b"}),
            mock("large", LARGE_TEXT * words),
        ]
    }


# --- Requests -------------------------------------------------------------------------------------


def message(line: str, *fields: str, body: bytes = b"") -> bytes:
    """A request from its first line, its header lines and its body, as they are."""
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + body


def get(*fields: str, target: str = "/health", method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    return message(f"{method} {target} HTTP/{version}", "Host: h", *fields)


def asking(text: str = "Hello", **members: Any) -> bytes:
    """The body of a chat request in which a user says `text`."""
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **members})


HELLO = asking()


def post(*fields: str, body: bytes = HELLO, target: str = CHAT, version: str = "1.1") -> bytes:
    """A request with a body of a known length."""
    line = f"POST {target} HTTP/{version}"
    return message(line, "Host: h", KEY, *fields, f"Content-Length: {len(body)}", body=body)


def framed(*fields: str, body: bytes = HELLO, version: str = "1.1") -> bytes:
    """A request whose `fields` tell where its body ends."""
    return message(f"POST {CHAT} HTTP/{version}", "Host: h", KEY, *fields, body=body)


def chunked(*body: bytes, fields: Iterable[str] = (), key: str = KEY) -> bytes:
    """A request with a chunked body, written by hand."""
    line = f"POST {CHAT} HTTP/1.1"
    head = message(line, "Host: h", key, *fields, "Transfer-Encoding: chunked")
    return head + b"".join(body)


def chunks(data: bytes, size: int = 16, extension: bytes = b"") -> bytes:
    """`data` as chunks of `size`, without the last one."""
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)


END = b"0\r\n\r\n"
HIDDEN = get("X-Hidden: 1")  # must not be answered where framing is in doubt
BODY = chunks(HELLO)


# --- Answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `headers` has each name once, in lower case; `whole` tells whether it ended as
    its framing says."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection closes."""
        return "close" in self.headers.get("connection", "").lower()


_HEAD = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [ -~]*\r\n((?:[!-9;-~]+: [ -~]*\r\n)*)\r\n")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n", re.IGNORECASE)


def read_answers(data: bytes, *, heads: Iterable[int] = ()) -> list[Answer]:
    """All answers in `data`; those whose place is in `heads` answer a HEAD request.

    Raises:
        ValueError: it is not a sequence of answers.
    """
    answers: list[Answer] = []
    finals = 0
    while data:
        match = _HEAD.match(data)
        if match is None:
            raise ValueError(f"no answer: {data[:200]!r}")
        lines = match[2].decode("ascii").splitlines()
        names = [line.partition(":")[0].lower() for line in lines]
        if len(names) != len(set(names)):
            raise ValueError(f"a header comes twice: {names}")
        headers = dict(zip(names, (line.partition(": ")[2] for line in lines), strict=True))
        status = int(match[1])
        rest = data[match.end() :]
        empty = status < 200 or status in (204, 304) or finals in heads
        finals += status >= 200
        body, data, whole = (b"", rest, True) if empty else _read_body(headers, rest)
        answers.append(Answer(status, headers, body, whole))
    return answers


def _read_body(headers: dict[str, str], data: bytes) -> tuple[bytes, bytes, bool]:
    """The body, what follows it, and whether it is whole."""
    if headers.get("transfer-encoding") == "chunked":
        return _read_chunks(data)
    if "content-length" not in headers:
        return data, b"", True
    length = int(headers["content-length"])
    return data[:length], data[length:], len(data) >= length


def _read_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    pieces: list[bytes] = []
    start = 0
    while (match := _CHUNK.match(data, start)) is not None:
        start = match.end() + int(match[1], 16) + 2
        if start > len(data) or data[start - 2 : start] != b"\r\n":
            break
        if match[1] == b"0":
            return b"".join(pieces), data[start:], True
        pieces.append(data[match.end() : start - 2])
    return b"".join(pieces), b"", False


# --- The peer -------------------------------------------------------------------------------------


class Peer(asyncio.Protocol):
    """A client without manners: it sends and reads bytes, and ends as it likes."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        """Set when the server sends no more, or the connection is lost."""
        self._came = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """A peer of the server on `port`. `receive_buffer` bounds what the system takes for it."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, peer = await loop.create_connection(cls, sock=sock)
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._came.set()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        self.ended.set()
        self._came.set()

    @property
    def _wire(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def send(self, data: bytes) -> None:
        """Send, unless the server has ended."""
        if not self.ended.is_set():
            self._wire.write(data)

    async def send_singly(self, data: bytes) -> None:
        """Send byte by byte, so that the server receives it so. Of more than 4 KiB, only the first
        KiB and the last 256 bytes."""
        middle = slice(KIB, len(data) - 256) if len(data) > 4 * KIB else slice(0, 0)
        for byte in data[: middle.start]:
            await self._send_one(byte)
        self.send(data[middle])
        for byte in data[middle.stop :]:
            await self._send_one(byte)

    async def _send_one(self, byte: int) -> None:
        self.send(bytes([byte]))
        await asyncio.sleep(0)

    def half_close(self) -> None:
        """Send no more, but go on reading."""
        if not self.ended.is_set():
            with suppress(OSError):  # the server has closed, and this side does not know it yet
                self._wire.write_eof()

    def stop_reading(self) -> None:
        """Take no more of what the server sends."""
        self._wire.pause_reading()

    def go_on_reading(self) -> None:
        """End `stop_reading`."""
        self._wire.resume_reading()

    def reset(self) -> None:
        """End with a TCP reset."""
        raw = self._wire.get_extra_info("socket")
        if raw.fileno() >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()

    def close(self) -> None:
        """End as programs do."""
        self._wire.close()

    async def read_all(self) -> bytes:
        """Everything that the server has sent, when it has ended."""
        await self.ended.wait()
        return bytes(self.received)

    async def read_until(self, mark: bytes, times: int = 1) -> bytes:
        """What has come when `mark` has come so often, or the server has ended."""
        while self.received.count(mark) < times and not self.ended.is_set():
            self._came.clear()
            await self._came.wait()
        return bytes(self.received)


# --- Cases ----------------------------------------------------------------------------------------


class Fate(Enum):
    """What becomes of the connection."""

    OPEN = auto()
    CLOSES = auto()
    EITHER = auto()
    """It may stay open or close, as long as the last answer says so."""
    ENDED = auto()
    """The client half-closes behind its bytes; the server answers them, then closes."""


Check = Callable[[list[Answer]], None]


@dataclass(frozen=True, slots=True)
class Case:
    """`data` is sent; `statuses` is a pattern of the final statuses in order, as in ``200 4..``;
    `heads` are the places of the answers to HEAD."""

    name: str
    source: str
    data: bytes
    statuses: str
    fate: Fate
    check: Check | None = None
    heads: tuple[int, ...] = ()


def served(
    name: str,
    source: str,
    data: bytes,
    statuses: str = "200",
    check: Check | None = None,
    *,
    fate: Fate = Fate.OPEN,
    heads: tuple[int, ...] = (),
) -> Case:
    """A case after which the connection stays open."""
    return Case(name, source, data, statuses, fate, check, heads)


def refused(name: str, source: str, data: bytes, statuses: str = "400") -> Case:
    """A case after which the connection closes; what follows `data` is not answered."""
    return Case(name, source, data, statuses, Fate.CLOSES)


def _has(name: str, value: str, place: int = -1) -> Check:
    def check(answers: list[Answer]) -> None:
        assert answers[place].headers.get(name) == value

    return check


def _allows(method: str) -> Check:
    def check(answers: list[Answer]) -> None:
        assert method in answers[-1].headers["allow"]

    return check


def _lacks(name: str) -> Check:
    def check(answers: list[Answer]) -> None:
        assert name not in answers[-1].headers

    return check


def _says(*texts: str) -> Check:
    """Each answer has the text that belongs to it."""

    def check(answers: list[Answer]) -> None:
        found = [text in answer.body.decode() for text, answer in zip(texts, answers, strict=True)]
        assert found == [True] * len(texts)

    return check


HOST = [
    refused("no Host", "9112 3.2", message("GET /health HTTP/1.1")),
    refused("no Host, higher minor", "9112 3.2", message("GET /health HTTP/1.2")),
    served("no Host in 1.0", "9112 3.2", message("GET /health HTTP/1.0"), fate=Fate.CLOSES),
    refused("Host twice", "9112 3.2", get("Host: g")),
    refused("Host twice the same", "9112 3.2", get("Host: h")),
    refused("Host twice in 1.0", "9112 3.2", get("Host: g", version="1.0")),
    refused("Host twice, spelled apart", "9112 3.2", get("hOST: h")),
    *(
        served(f"Host {host!r}", "9110 7.2", message("GET /health HTTP/1.1", f"Host: {host}"))
        for host in (
            "",
            "localhost",
            "LocalHost:8000",
            "h:",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8000",
            "[v1.a]:1",
            "a_b-c.d~e",
            "a%20b",
            "a,b",
            "xn--hst-sna.example.",
        )
    ),
    *(
        refused(f"Host {host!r}", "9112 3.2", message("GET /health HTTP/1.1", f"Host: {host}"))
        for host in (
            "a b",
            "a/b",
            "http://h",
            "user@h",
            "h:80a",
            "h:-1",
            "h:+1",
            "h:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[zz]",
            "a%zz",
            "h?x",
            "h#x",
            "h\\x",
            "<h>",
            'h"',
            "h\u00f6",
            "h\x01",
            "h\x7f",
        )
    ),
    refused("Host with NUL", "9110 5.5", message("GET /health HTTP/1.1", "Host: h\x00")),
    refused("Host in 1.0 invalid", "9112 3.2", message("GET /health HTTP/1.0", "Host: a b")),
]

LENGTH = [
    served("length", "9112 6.2", post()),
    served("length twice the same", "9112 6.3", post(f"Content-Length: {len(HELLO)}")),
    served("length as a list", "9112 6.3", framed(f"Content-Length: {len(HELLO)}, {len(HELLO)}")),
    served("length with zeros", "9110 8.6", framed(f"Content-Length: 000{len(HELLO)}")),
    served("length in white space", "9110 5.5", framed(f"Content-Length: \t {len(HELLO)} \t")),
    refused("length twice", "9112 6.3", post("Content-Length: 5") + HIDDEN),
    refused("length twice, zero first", "9112 6.3", post("Content-Length: 0") + HIDDEN),
    refused("length as a list of two", "9112 6.3", framed("Content-Length: 5, 6") + HIDDEN),
    *(
        refused(f"length {length!r}", "9112 6.3", framed(f"Content-Length: {length}") + HIDDEN)
        for length in (
            "",
            "-1",
            "+58",
            "0x3a",
            "58.0",
            "5 8",
            "5_8",
            "58;",
            "fifty",
            '"58"',
            "\u00b2",
            "58\x0b",
            "NaN",
        )
    ),
    refused("length too large", "9110 15.5.14", framed("Content-Length: 67108865"), "413"),
    refused(
        "length beyond 2**63", "9110 8.6", framed("Content-Length: 9223372036854775808"), "413"
    ),
    refused("length of 20 digits", "9110 8.6", framed("Content-Length: " + "9" * 20), "413"),
    refused(
        "length of 5,000 digits", "9110 8.6", framed("Content-Length: " + "9" * 5000), "413|400"
    ),
    refused(
        "length too large in 1.0",
        "9110 15.5.14",
        framed("Content-Length: 9" + "0" * 9, version="1.0"),
        "413",
    ),
    served("no length", "9112 6.3", get(KEY, target=CHAT, method="POST"), "400"),
    served("length 0", "9112 6.3", post(body=b""), "400"),
    refused(
        "length too small",
        "9112 6.3",
        framed("Content-Length: 2", body=b"{}" + b"stray bytes\r\n\r\n"),
        "400 400",
    ),
    served("length of a GET", "9110 9.3.1", get("Content-Length: 3") + b"abc"),
]

CODING = [
    served("chunked", "9112 7.1", chunked(BODY, END)),
    served("chunked in capitals", "9112 7", framed("Transfer-Encoding: CHUNKED", body=BODY + END)),
    served("chunked of a GET", "9112 6.1", get("Transfer-Encoding: chunked") + b"1\r\na\r\n" + END),
    served("nothing, chunked", "9112 7.1", chunked(END), "400"),
    refused(
        "length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Content-Length: 5"]),
    ),
    refused(
        "length behind chunked",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", "Content-Length: 5", body=BODY + END) + HIDDEN,
    ),
    refused(
        "the right length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=[f"Content-Length: {len(BODY + END)}"]),
    ),
    refused(
        "a bad length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Content-Length: -1"]),
    ),
    refused(
        "length 0 beside chunked on a GET",
        "9112 6.1",
        get("Content-Length: 0", "Transfer-Encoding: chunked") + END + HIDDEN,
    ),
    refused(
        "length beside a coding not known",
        "9112 6.1",
        framed("Transfer-Encoding: x", "Content-Length: 5") + HIDDEN,
        "400|501",
    ),
    refused(
        "chunked twice",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Transfer-Encoding: chunked"]),
        "400|501",
    ),
    refused(
        "gzip, chunked", "9112 6.1", framed("Transfer-Encoding: gzip, chunked") + HIDDEN, "501"
    ),
    refused(
        "gzip and chunked in two lines",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Transfer-Encoding: gzip"]),
        "501",
    ),
    *(
        refused(
            f"coding {coding!r}",
            "9112 6.3",
            framed(f"Transfer-Encoding: {coding}", body=BODY + END) + HIDDEN,
            "400|501",
        )
        for coding in (
            "gzip",
            "identity",
            "chunked, chunked",
            "chunked, gzip",
            "chunked, identity",
            "xchunked",
            "chunkedx",
            "chunked;q=1",
            '"chunked"',
            "x",
            "",
            "\x0bchunked",
            "chunked\x00",
            "chunk\u00e9d",
        )
    ),
    refused(
        "coding behind white space", "9112 5.1", framed("Transfer-Encoding : chunked") + HIDDEN
    ),
    refused(
        "chunked in 1.0",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", body=BODY + END, version="1.0") + HIDDEN,
    ),
    refused(
        "chunked in 1.0, kept alive",
        "9112 6.1",
        framed(
            "Transfer-Encoding: chunked", "Connection: keep-alive", body=BODY + END, version="1.0"
        ),
    ),
    refused(
        "length beside chunked in 1.0",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", f"Content-Length: {len(HELLO)}", version="1.0")
        + HIDDEN,
    ),
    served("TE is no coding of the body", "9110 10.1.4", post("TE: trailers, deflate")),
]

_FIVE = b"hello"


def _first_line(line: bytes, data: bytes = _FIVE) -> bytes:
    """A chunked request whose first chunk has that size line, and a hidden request behind it."""
    return chunked(line, data, b"\r\n", END, HIDDEN)


CHUNKS = [
    served("chunk extension", "9112 7.1.1", chunked(chunks(HELLO, 16, b";a"), END)),
    served(
        "chunk extension with a value", "9112 7.1.1", chunked(chunks(HELLO, 16, b";a=b;c"), END)
    ),
    served(
        "chunk extension, quoted",
        "9112 7.1.1",
        chunked(chunks(HELLO, 16, b';a="b;c=\\"\t0 d"'), END),
    ),
    served(
        "chunk extension with bad white space",
        "9112 7.1.1",
        chunked(chunks(HELLO, 16, b" ; a = b"), END),
    ),
    served("last chunk with an extension", "9112 7.1.1", chunked(BODY, b"0;a=b\r\n\r\n")),
    served("last chunk of many zeros", "9112 7.1", chunked(BODY, b"0000\r\n\r\n")),
    served(
        "chunk size with zeros",
        "9112 7.1",
        chunked(b"00000000%x\r\n%b\r\n" % (len(HELLO), HELLO), END),
    ),
    served(
        "chunk size in capitals", "9112 7.1", chunked(b"%X\r\n%b\r\n" % (len(HELLO), HELLO), END)
    ),
    served("chunks of one byte", "9112 7.1", chunked(chunks(HELLO, 1), END)),
    refused("chunk extension with NUL", "9110 5.5", _first_line(b"5;a\x00b\r\n")),
    refused("chunk extension, quoted NUL", "9110 5.6.4", _first_line(b'5;a="\x00"\r\n')),
    refused("chunk extension with a bare CR", "9112 2.2", _first_line(b"5;a\rb\r\n")),
    refused("chunk extension that ends in CR", "9112 2.2", _first_line(b"5;a\r\r\n")),
    refused("chunk extension with a bare LF", "9112 7.1", _first_line(b"5;a\nb\r\n")),
    refused("last chunk extension with NUL", "9110 5.5", chunked(BODY, b"0;\x00\r\n\r\n", HIDDEN)),
    *(
        refused(f"chunk size {line.decode()!r}", "9112 7.1", _first_line(line + b"\r\n"))
        for line in (
            b"",
            b"x",
            b"0x5",
            b"+5",
            b"-5",
            b"5.",
            b"5_0",
            b"5 5",
            b" 5",
            b";a",
            b"5,5",
            b"\x005",
        )
    ),
    refused("chunk size that is no ASCII", "9112 7.1", _first_line(b"\xb2\r\n")),
    refused("chunk size ended by LF", "9112 7.1", _first_line(b"5\n")),
    refused("chunk size ended by CR", "9112 7.1", _first_line(b"5\r")),
    refused("chunk size too large", "9110 15.5.14", _first_line(b"4000001\r\n"), "413"),
    refused("chunk size of 2**64 - 1", "9112 7.1", _first_line(b"f" * 16 + b"\r\n"), "413"),
    refused(
        "chunk size of 2**64 + 5", "9112 7.1", _first_line(b"10000000000000005\r\n"), "413|400"
    ),
    refused(
        "chunk size of 1,000 digits", "9112 7.1", _first_line(b"f" * 1000 + b"\r\n"), "413|400"
    ),
    refused("chunk longer than it says", "9112 7.1", _first_line(b"4\r\n")),
    refused("chunk without its CRLF", "9112 7.1", chunked(b"5\r\nhello", END, HIDDEN)),
    refused("chunk ended by LF", "9112 7.1", chunked(b"5\r\nhello\n", END, HIDDEN)),
    refused(
        "chunk extension too long",
        "9112 7.1.1",
        _first_line(b"5;a=" + b"b" * 20 * KIB + b"\r\n"),
        "400|413|431",
    ),
    refused(
        "chunk extensions too long together",
        "9112 7.1.1",
        chunked(chunks(HELLO, 1, b";" + b"a" * 4 * KIB), END, HIDDEN),
        "400|413|431",
    ),
]

TRAILERS = [
    served("trailer", "9112 7.1.2", chunked(BODY, b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")),
    served(
        "Authorization in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nAuthorization: Bearer any\r\n\r\n", key="X-Key: none"),
        "401",
    ),
    served(
        "announced Authorization in a trailer",
        "9110 6.6.2",
        chunked(
            BODY,
            b"0\r\nAuthorization: Bearer any\r\n\r\n",
            key="Trailer: Authorization",
            fields=["TE: trailers"],
        ),
        "401",
    ),
    served(
        "a matched header in a trailer",
        "9110 6.5.1",
        chunked(chunks(asking("tenant")), b"0\r\nX-Tenant: a\r\n\r\n"),
        "404",
    ),
    served(
        "framing in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nContent-Length: 5\r\nHost: other\r\nConnection: close\r\n\r\n"),
    ),
    served(
        "Content-Encoding in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nContent-Encoding: br\r\n\r\n"),
    ),
    refused("chunks that end in a bare LF", "9112 7.1", chunked(BODY, b"0\r\n\n", HIDDEN)),
    refused("trailer without a colon", "9112 5", chunked(BODY, b"0\r\nX-A\r\n\r\n", HIDDEN)),
    refused("trailer with NUL", "9110 5.5", chunked(BODY, b"0\r\nX-A: \x00\r\n\r\n", HIDDEN)),
    refused("trailer with a bare CR", "9112 2.2", chunked(BODY, b"0\r\nX: a\rb\r\n\r\n", HIDDEN)),
    refused(
        "trailer, white space before the colon", "9112 5.1", chunked(BODY, b"0\r\nX : a\r\n\r\n")
    ),
    refused(
        "trailers too large",
        "6585 5",
        chunked(BODY, b"0\r\n" + b"X-A: %b\r\n" % (b"a" * KIB) * 70, b"\r\n", HIDDEN),
        "431",
    ),
    refused(
        "trailers too many",
        "6585 5",
        chunked(
            BODY, b"0\r\n", *(b"X-%d: a\r\n" % number for number in range(101)), b"\r\n", HIDDEN
        ),
        "431",
    ),
]

EXPECT = [
    served("Expect", "9110 10.1.1", post("Expect: 100-continue")),
    served("Expect in capitals", "9110 10.1.1", post("Expect: 100-Continue")),
    served("Expect, chunked", "9110 10.1.1", chunked(BODY, END, fields=["Expect: 100-continue"])),
    served("Expect without a body", "9110 10.1.1", get("Expect: 100-continue")),
    served("Expect nothing", "9110 10.1.1", post("Expect:")),
    served(
        "Expect in 1.0",
        "9110 10.1.1",
        post("Expect: 100-continue", version="1.0"),
        fate=Fate.CLOSES,
    ),
    served(
        "Expect, then a provider's 4xx",
        "9110 10.1.1",
        post("Expect: 100-continue", body=b"["),
        "400",
    ),
    refused("Expect another", "9110 10.1.1", post("Expect: 200-ok"), "417"),
    refused("Expect another too", "9110 10.1.1", post("Expect: 100-continue, x=y"), "417"),
    refused(
        "Expect another in a second line",
        "9110 10.1.1",
        post("Expect: 100-continue", "Expect: x"),
        "417",
    ),
    refused("Expect another without a body", "9110 10.1.1", get("Expect: x"), "417"),
    refused(
        "Expect with too large a length",
        "9110 10.1.1",
        framed("Expect: 100-continue", "Content-Length: 67108865", body=b""),
        "413",
    ),
]

VERSIONS = [
    served("1.0", "9112 9.3", get(version="1.0"), fate=Fate.CLOSES),
    served("1.0, what follows", "9112 9.3", get(version="1.0") + HIDDEN, fate=Fate.CLOSES),
    served("1.0 POST", "9112 9.3", post(version="1.0"), fate=Fate.CLOSES),
    served(
        "1.0 kept alive",
        "9112 9.3",
        get("Connection: keep-alive", version="1.0"),
        check=_has("connection", "keep-alive"),
    ),
    served(
        "1.0 kept alive twice",
        "9112 9.3",
        post("Connection: Keep-Alive", version="1.0")
        + get("Connection: keep-alive", version="1.0"),
        "200 200",
    ),
    served(
        "1.0 kept alive after a provider's 4xx",
        "9112 9.3",
        post("Connection: keep-alive", body=b"[", version="1.0"),
        "400",
    ),
    served(
        "1.0 told to close and to keep",
        "9112 9.3",
        get("Connection: keep-alive, close", version="1.0"),
        fate=Fate.CLOSES,
    ),
    served(
        "1.0 stream",
        "9112 6.1",
        post("Connection: keep-alive", body=asking(stream=True), version="1.0"),
        check=_lacks("transfer-encoding"),
        fate=Fate.CLOSES,
    ),
    served(
        "1.0 stream ends",
        "9112 6.3",
        post(body=asking(stream=True), version="1.0"),
        check=_says("data: [DONE]"),
        fate=Fate.CLOSES,
    ),
    served("1.2", "9110 2.5", get(version="1.2")),
    served("1.9", "9110 2.5", post(version="1.9")),
    *(
        refused(f"version {version}", "9110 15.6.6", get(version=version) + HIDDEN, "505")
        for version in ("0.9", "2.0", "3.0", "9.9")
    ),
    refused("version 2.0 with a body", "9110 15.6.6", post(version="2.0"), "505"),
    *(
        refused(f"version {version!r}", "9112 2.3", get(version=version) + HIDDEN)
        for version in ("1", "1.", "11.1", "1.10", "1,1", "01.1", "-1.1", "1.1x", "x", "1.1 ", "")
    ),
    refused("version in small letters", "9112 2.3", message("GET /health http/1.1", "Host: h")),
    refused("version of another name", "9112 2.3", message("GET /health HTTPS/1.1", "Host: h")),
    refused("no version", "9112 3", message("GET /health", "Host: h")),
    refused("HTTP/0.9", "9112 3", b"GET /health\r\n\r\n"),
    refused("HTTP/2 preface", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), ""),
    refused(
        "TLS hello", "8446 5.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), ""
    ),
    refused("TLS hello with a line end", "8446 5.1", b"\x16\x03\x01\x00\x0a\r\n\r\n", ""),
]

_PATHS_SERVED = {
    "/health?": "9112 3.2.1",
    "/health?a=1&b=%20?/": "9112 3.2.1",
    "http://h/health": "9112 3.2.2",
    "http://other.example:81/health": "9112 3.2.2",
    "HTTP://OTHER/health": "3986 6.2.2.1",
    "https://h/health": "9110 7.4",
    "http://[::1]:8000/health?x": "9112 3.2.2",
    "/%68ealth": "3986 6.2.2.2",
    "/h%65alt%68": "3986 6.2.2.2",
}
_PATHS_NOT_FOUND = {
    "/": "9112 3.2.1",
    "/health/": "3986 6.2.2",
    "/HEALTH": "3986 6.2.2.1",
    "//health": "9112 3.2.1",
    "//h/health": "9112 3.2.1",
    "/./health": "3986 6.2.2.3",
    "/x/../health": "3986 6.2.2.3",
    "/x/%2e%2e/health": "3986 6.2.2.3",
    "/health%20": "3986 6.2.2.2",
    "/health%00": "3986 6.2.2.2",
    "/health%2F": "3986 6.2.2.2",
    "/%25%36%38ealth": "3986 2.4",
    "/..%2f..%2fetc/passwd": "3986 6.2.2.3",
    "/%c3%a9": "3986 2.1",
    "http://h": "9112 3.2.2",
    "http://h?x=/health": "9112 3.2.2",
    "http://h/http://h/health": "9112 3.2.2",
}
_TARGETS_REFUSED = {
    "health": "9112 3.2",
    "h:80": "9112 3.2.3",
    "?x": "9112 3.2",
    "*": "9112 3.2.4",
    "/health#x": "9112 3.2.1",
    "http://h/health#x": "9112 3.2.2",
    "http:///health": "9110 4.2.1",
    "http://:80/health": "9110 4.2.1",
    "http://user:pass@h/health": "9110 4.2.4",
    "http://h:80a/health": "9110 4.2.1",
    "http://a b/health": "9112 3.2.2",
    "http:/health": "9110 4.2.1",
    "ftp://h/health": "9110 7.4",
    "/health x": "9112 3.2",
    "/%zz": "3986 2.1",
    "/health%": "3986 2.1",
    "/health%6": "3986 2.1",
    "/health?%zz": "3986 2.1",
    "/a<b": "3986 3.3",
    "/a\\b": "3986 3.3",
    '/a"b': "3986 3.3",
    "/\u00e9": "3986 3.3",
    "/a\x00b": "3986 3.3",
    "/a\x01b": "3986 3.3",
    "/a\x7fb": "3986 3.3",
    "/a\tb": "3986 3.3",
    "/a\rb": "9112 2.2",
}

TARGETS = [
    *(
        served(f"target {target}", source, get(target=target))
        for target, source in _PATHS_SERVED.items()
    ),
    *(
        served(f"target {target}", source, get(target=target), "404")
        for target, source in _PATHS_NOT_FOUND.items()
    ),
    *(
        refused(f"target {target!r}", source, get(target=target) + HIDDEN)
        for target, source in _TARGETS_REFUSED.items()
    ),
    served("target with an encoded letter", "3986 6.2.2.2", post(target="/v1/%63hat/completions")),
    served(
        "target with an encoded slash", "3986 2.2", post(target="/v1/chat%2Fcompletions"), "404"
    ),
    served(
        "target with an encoded slash, small",
        "3986 2.2",
        post(target="/v1/chat%2fcompletions"),
        "404",
    ),
    served("absolute target", "9112 3.2.2", post(target=f"http://api.openai.com{CHAT}?x=1")),
    served(
        "absolute target in 1.0",
        "9112 3.2.2",
        message("GET http://h/health HTTP/1.0"),
        fate=Fate.CLOSES,
    ),
    refused("absolute target without Host", "9112 3.2", message("GET http://h/health HTTP/1.1")),
    refused(
        "absolute target, bad Host",
        "9112 3.2",
        message("GET http://h/health HTTP/1.1", "Host: a b"),
    ),
    served(
        "absolute target, empty Host",
        "9112 3.2.2",
        message("GET http://h/health HTTP/1.1", "Host:"),
    ),
    served("OPTIONS *", "9110 9.3.7", get(method="OPTIONS", target="*"), "20[04]"),
    refused(
        "CONNECT", "9110 9.3.6", get(method="CONNECT", target="example.com:443") + HIDDEN, "501"
    ),
    refused("CONNECT without a port", "9110 9.3.6", get(method="CONNECT", target="example.com")),
    refused("CONNECT to a path", "9112 3.2.3", get(method="CONNECT", target="/health")),
    refused("CONNECT *", "9112 3.2.3", get(method="CONNECT", target="*")),
    served("target of 8,000 bytes", "9112 3", get(target="/health?" + "a" * 8000)),
    refused("target too long", "9110 15.5.15", get(target="/" + "a" * 70 * KIB), "414"),
    refused("target too long, without an end", "9110 15.5.15", b"GET /" + b"a" * 70 * KIB, "414"),
    refused("method too long", "9110 15.5.15", b"A" * 70 * KIB, "414"),
]

HEADS = [
    served("head of 60 KiB", "6585 5", get("X-A: " + "a" * 60 * KIB)),
    refused("head too large", "6585 5", get("X-A: " + "a" * 70 * KIB), "431"),
    refused("head too large, without an end", "6585 5", get("X-A: " + "a" * 70 * KIB)[:-4], "431"),
    refused("head too large, in lines", "6585 5", get(*["X-A: " + "a" * KIB] * 70), "431"),
    served("100 headers", "6585 5", get(*(f"X-{number}: a" for number in range(99)))),
    refused("101 headers", "6585 5", get(*(f"X-{number}: a" for number in range(100))), "431"),
    refused("101 headers of one name", "6585 5", get(*["X-A: a"] * 100), "431"),
    refused("101 headers that came before", "6585 5", get(*["Accept: */*"] * 100), "431"),
    served("empty line before", "9112 2.2", b"\r\n" + get()),
    served(
        "empty lines before and between",
        "9112 2.2",
        b"\r\n\r\n" + get() + b"\r\n\r\n" + get(),
        "200 200",
    ),
    served("empty line behind a body", "9112 2.2", post() + b"\r\n" + get(), "200 200"),
    served("bare empty line before", "9112 2.2", b"\n" + get()),
    refused("bare CR before", "9112 2.2", b"\r" + get()),
    refused("bare CR behind an empty line", "9112 2.2", b"\r\n\r\r\n" + get()),
    refused("white space before", "9112 3", b" " + get()),
    refused(
        "white space before the first header",
        "9112 2.2",
        message("GET /health HTTP/1.1", " X: a", "Host: h"),
    ),
    refused("two spaces in the first line", "9112 3", message("GET  /health HTTP/1.1", "Host: h")),
    refused("tab in the first line", "9112 3", message("GET\t/health HTTP/1.1", "Host: h")),
    refused("NUL in the method", "9110 9.1", message("G\x00T /health HTTP/1.1", "Host: h")),
    refused("no request", "9112 2", b"nonsense\r\n\r\n"),
    refused("an answer", "9112 2.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused("JSON", "9112 2", b'{"model": "m"}\r\n\r\n'),
    refused("a zero", "9112 2", bytes(64)),
    refused("no ASCII", "9112 2", b"\xff\xfe" * 32 + b"\r\n\r\n"),
    served("folded header", "9112 5.2", post("X-Folded: a\r\n b", body=asking("folded"))),
    served(
        "header folded by a tab", "9112 5.2", post("X-Folded: a\r\n\t b", body=asking("folded"))
    ),
    refused("folded length", "9112 5.2", framed("Content-Length: 5\r\n 8") + HIDDEN),
    refused("folded Host", "9112 5.2", message("GET /health HTTP/1.1", "Host: a\r\n b")),
    refused("white space before the colon", "9112 5.1", get("X-A : a")),
    refused("tab before the colon", "9112 5.1", get("X-A\t: a")),
    refused("no colon", "9112 5", get("X-A")),
    refused("no name", "9112 5", get(": a")),
    served("line ends of LF", "9112 2.2", b"GET /health HTTP/1.1\nHost: h\n\n"),
    served(
        "line ends of LF and CRLF", "9112 2.2", b"GET /health HTTP/1.1\r\nHost: h\nX-A: a\r\n\n"
    ),
    *(
        served(
            f"last line end {end!r}",
            "9112 2.2",
            framed(f"Content-Length: {len(HELLO)}").replace(b"\r\n\r\n", end, 1) + get(),
            "200 200",
        )
        for end in (b"\n\r\n", b"\r\n\n", b"\n\n")
    ),
    refused("line ends of CR", "9112 2.2", b"GET /health HTTP/1.1\rHost: h\r\r"),
    refused("bare CR in a value", "9112 2.2", get("X-A: a\rb")),
    refused("bare CR that hides a header", "9112 2.2", get("X-A: a\rContent-Length: 5")),
    refused("bare CR at the end of a value", "9112 2.2", get("X-A: a\r")),
    refused("NUL in a value", "9110 5.5", get("X-A: a\x00b")),
    served("no ASCII in a value", "9110 5.5", get("X-A: \u00e9\u00ff")),
    served("no value", "9110 5.5", get("X-A:", "X-B: \t ")),
    served("odd name", "9110 5.6.2", get("!#$%&'*+-.^_`|~09aZ: a")),
    *(
        refused(f"name {name!r}", "9110 5.1", get(f"{name}: a"))
        for name in (
            "X A",
            "X(A)",
            "X@A",
            "X/A",
            "X[A]",
            "X{A}",
            '"X"',
            "X=A",
            "X,A",
            "X;A",
            "X\\A",
            "\u00e9",
            "X\x00",
            "X\x01",
            "X\x7f",
        )
    ),
]

METHODS = [
    served("HEAD", "9110 9.3.2", get(method="HEAD"), heads=(0,)),
    served("HEAD and GET", "9110 9.3.2", get(method="HEAD") + get(), "200 200", heads=(0,)),
    served(
        "HEAD of an endpoint",
        "9110 15.5.6",
        get(method="HEAD", target=CHAT),
        "405",
        _has("allow", "POST"),
        heads=(0,),
    ),
    served(
        "HEAD of nothing",
        "9110 9.3.2",
        get(method="HEAD", target="/x") + get(),
        "404 200",
        heads=(0,),
    ),
    served(
        "HEAD in 1.0", "9110 9.3.2", get(method="HEAD", version="1.0"), heads=(0,), fate=Fate.CLOSES
    ),
    *(
        served(
            f"{method} of {target}",
            "9110 15.5.6",
            get(method=method, target=target),
            "405",
            _has("allow", "POST"),
        )
        for method in ("GET", "PUT", "PATCH", "DELETE", "TRACE")
        for target in (CHAT, MESSAGES)
    ),
    served(
        "OPTIONS of an endpoint",
        "9110 9.3.7",
        get(method="OPTIONS", target=CHAT),
        "20[04]|405",
        _allows("POST"),
    ),
    served(
        "PUT with a body",
        "9110 15.5.6",
        get("Content-Length: 3", method="PUT", target=CHAT) + b"abc" + get(),
        "405 200",
    ),
    served(
        "POST of /health", "9110 15.5.6", post(target="/health"), "405", _has("allow", "GET, HEAD")
    ),
    served("a method not known", "9110 9.1", get(method="BREW", target=CHAT), "501"),
    served("a method in small letters", "9110 9.1", post().replace(b"POST", b"post", 1), "501"),
    served("a method not known, of /health", "9110 9.1", get(method="BREW"), "501"),
    served(
        "websocket",
        "9110 15.5.22",
        get(
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            KEY,
            target=RESPONSES,
        ),
        "426",
        _has("upgrade", "HTTP/1.1"),
        fate=Fate.EITHER,
    ),
    served("websocket elsewhere", "9110 7.8", get("Connection: Upgrade", "Upgrade: websocket")),
    served(
        "websocket of another endpoint",
        "9110 7.8",
        get("Connection: Upgrade", "Upgrade: websocket", target=CHAT),
        "405",
    ),
    served(
        "upgrade to HTTP/2",
        "9110 7.8",
        post(
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ),
        check=_lacks("upgrade"),
    ),
    served(
        "upgrade, chunked",
        "9110 7.8",
        chunked(BODY, END, get(), fields=["Connection: Upgrade", "Upgrade: x"]),
        "200 200",
    ),
]


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(64 * MIB + 1), 9)


_PACKED = gzip.compress(HELLO, mtime=0)
_GZIP = "Content-Encoding: gzip"

CONTENT = [
    served("gzip", "9110 8.4.1.3", post(_GZIP, body=_PACKED)),
    served("x-gzip", "9110 8.4.1.3", post("Content-Encoding: X-Gzip", body=_PACKED)),
    served("gzip, chunked body", "9110 8.4", chunked(chunks(_PACKED), END, fields=[_GZIP])),
    served(
        "gzip of two members",
        "1952 2.2",
        post(_GZIP, body=gzip.compress(HELLO[:9]) + gzip.compress(HELLO[9:])),
    ),
    served("gzip, expected", "9110 8.4", post(_GZIP, "Expect: 100-continue", body=_PACKED)),
    served("gzip, what follows", "9110 8.4", post(_GZIP, body=_PACKED) + get(), "200 200"),
    served("no coding", "9110 8.4", post("Content-Encoding:")),
    served("identity", "9110 8.4.1", post("Content-Encoding: identity")),
    *(
        served(name, "9110 8.4.1.3", post(_GZIP, body=body), "400", fate=Fate.EITHER)
        for name, body in {
            "gzip of nothing": b"",
            "gzip that is none": HELLO,
            "gzip cut short": _PACKED[:-9],
            "gzip without its check": _PACKED[:-8],
            "gzip with a wrong check": _PACKED[:-8] + bytes(8),
            "gzip with more behind it": _PACKED + b"more",
            "gzip of a bad body": gzip.compress(b"["),
        }.items()
    ),
    served("gzip bomb", "9110 15.5.14", post(_GZIP, body=_bomb()), "413", fate=Fate.EITHER),
    *(
        served(
            f"coding of content {coding!r}",
            "9110 15.5.16",
            post(f"Content-Encoding: {coding}"),
            "415",
            _has("accept-encoding", "gzip"),
            fate=Fate.EITHER,
        )
        for coding in ("br", "deflate", "zstd", "gzip, br", "gzip, gzip", "x")
    ),
    served(
        "coding of content in two lines",
        "9110 8.4",
        post(_GZIP, "Content-Encoding: br", body=_PACKED),
        "415",
        fate=Fate.EITHER,
    ),
    served("JSON of 100,000 levels", "8259 9", post(body=b"[" * 100_000), "400"),
    served("JSON object of 100,000 levels", "8259 9", post(body=b'{"a":' * 100_000), "400"),
    served(
        "JSON that is no UTF-8", "8259 8.1", post(body=HELLO.replace(b"Hello", b"\xff\xfe")), "400"
    ),
    served("JSON with NaN", "8259 6", post(body=b'{"n": NaN}'), "400"),
    served(
        "JSON with a number of 5,000 digits",
        "8259 6",
        post(body=HELLO.replace(b"}]", b'}],"n":' + b"9" * 5000)),
        "200|400",
    ),
    served("JSON with a key twice", "8259 4", post(body=HELLO.replace(b'"m"', b'"m","model":"m"'))),
    served(
        "JSON with half a surrogate pair",
        "8259 8.2",
        post(body=HELLO.replace(b"Hello", b"\\ud800")),
        "404",
    ),
]

_MANY = [f"ask {number}." for number in range(100)]

PERSISTENCE = [
    served("Connection: keep-alive", "9112 9.3", get("Connection: keep-alive")),
    served("Connection: another", "9110 7.6.1", get("Connection: closed, x-close")),
    served(
        "Keep-Alive and Proxy-Connection",
        "9110 7.6.1",
        get("Keep-Alive: timeout=1, max=1", "Proxy-Connection: close"),
    ),
    *(
        served(
            f"Connection: {option}",
            "9112 9.6",
            get(f"Connection: {option}") + HIDDEN,
            fate=Fate.CLOSES,
        )
        for option in ("close", "CLOSE", "keep-alive, close", "close, keep-alive", "x,\tClose ,y")
    ),
    served(
        "Connection: close in a second line",
        "9112 9.6",
        get("Connection: keep-alive", "Connection: close"),
        fate=Fate.CLOSES,
    ),
    served(
        "close of a stream",
        "9112 9.6",
        post("Connection: close", body=asking(stream=True)),
        fate=Fate.CLOSES,
    ),
    served(
        "close behind another",
        "9112 9.6",
        get() + post("Connection: close") + HIDDEN,
        "200 200",
        fate=Fate.CLOSES,
    ),
    *(
        served(f"open after {name}", "9112 9.3", data + get(), f"{status} 200")
        for name, data, status in (
            ("401", post().replace(b"Bearer any", b"Basic x:y="), 401),
            ("400 of no JSON", post(body=b"x"), 400),
            ("400 of a member", post(body=b"{}"), 400),
            ("400 of Messages", post("X-Api-Key: any", target=MESSAGES), 400),
            ("404 of a mock", post(body=asking("nobody")), 404),
            ("404 of a path", post(target="/v1/nothing"), 404),
            ("405", get(target=CHAT), 405),
        )
    ),
    served("two", "9112 9.3.2", post() + get(), "200 200", _says("Hello there", "healthy")),
    served(
        "100, in order",
        "9112 9.3.2",
        b"".join(post(body=asking(text)) for text in _MANY),
        " ".join(["404"] * 100),
        _says(*_MANY),
    ),
    served(
        "100 small ones",
        "9112 9.3.2",
        b"".join(get(method="HEAD") if number % 3 else get() for number in range(100)),
        " ".join(["200"] * 100),
        heads=tuple(number for number in range(100) if number % 3),
    ),
    served(
        "streams, errors and HEAD, in order",
        "9112 9.3.2",
        post(body=asking(stream=True))
        + post(body=asking("nobody"))
        + get(method="HEAD")
        + chunked(BODY, END)
        + post(body=b"[")
        + post(body=asking(stream=True)),
        "200 404 200 200 400 200",
        _says("[DONE]", "nobody", "", "Hello there", "JSON", "[DONE]"),
        heads=(2,),
    ),
    served(
        "long answers, in order",
        "9112 9.3.2",
        post(body=asking("large"))
        + get()
        + post(body=asking("large", stream=True))
        + post(body=asking("nobody")),
        "200 200 200 404",
        _says("large", "healthy", "[DONE]", "nobody"),
    ),
    refused(
        "nonsense behind a request", "9112 9.3.2", get() + b"nonsense\r\n\r\n" + HIDDEN, "200 400"
    ),
    refused(
        "nonsense behind a long answer",
        "9112 9.3.2",
        post(body=asking("large", stream=True)) + b"nonsense\r\n\r\n" + HIDDEN,
        "200 400",
    ),
    refused(
        "too large behind a request",
        "9112 9.3.2",
        get() + framed("Content-Length: 67108865"),
        "200 413",
    ),
]

_ENDED = [
    ("nothing", b"", ""),
    ("an empty line", b"\r\n", ""),
    ("a request", get(), "200"),
    ("a stream", post(body=asking(stream=True)), "200"),
    ("a long answer", post(body=asking("large")), "200"),
    ("a long stream", post(body=asking("large", stream=True)), "200"),
    ("a long stream and more", post(body=asking("large", stream=True)) + post(), "200 200"),
    ("many", get() * 20, " ".join(["200"] * 20)),
    ("chunks", chunked(BODY, END), "200"),
    ("a request that says close", get("Connection: close"), "200"),
    ("a request in 1.0", get(version="1.0"), "200"),
    ("nonsense", b"nonsense\r\n\r\n", "400"),
    ("part of a line", b"GET /hea", "(400)?"),
    ("part of a head", get()[:-2], "(400)?"),
    ("part of a body", post()[:-2], "(400)?"),
    ("part of a chunk", chunked(BODY[:-4]), "(400)?"),
    ("chunks without an end", chunked(BODY), "(400)?"),
    ("part of a trailer", chunked(BODY, b"0\r\nX-A"), "(400)?"),
    ("a head that waits for 100", post("Expect: 100-continue")[: -len(HELLO)], "(400)?"),
    ("a request and a part", get() + get()[:-2], "200( 400)?"),
]

ENDINGS = [
    Case(f"half-close behind {name}", "9112 9.6", data, statuses, Fate.ENDED)
    for name, data, statuses in _ENDED
]

CASES = [
    *HOST,
    *LENGTH,
    *CODING,
    *CHUNKS,
    *TRAILERS,
    *EXPECT,
    *VERSIONS,
    *TARGETS,
    *HEADS,
    *METHODS,
    *CONTENT,
    *PERSISTENCE,
    *ENDINGS,
]
