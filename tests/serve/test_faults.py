"""Faults on the wire: under TLS, HTTP/1.0, pipelining and while a server stops."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import orjson
import pytest

from mockllm import AsyncServer
from tests.serve.test_tls import CERTIFICATE, KEY
from tests.support.http.peer import Peer
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio

TEXT = "Hello world, how are you?"
FOREVER = 3600.0  # seconds; the test fails if it waits for them


def request(
    user: str = "hi", *, stream: bool = False, version: str = "1.1", more: str = ""
) -> bytes:
    message = {"role": "user", "content": user}
    body = orjson.dumps({"model": "m", "messages": [message], "stream": stream})
    head = (
        f"POST /v1/chat/completions HTTP/{version}\r\nHost: a\r\nAuthorization: Bearer a\r\n"
        f"Content-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def mocks(fault: Any) -> dict[str, Any]:
    plain = {"match": {"user": "plain"}, "reply": TEXT}
    return {"mocks": [plain, {"reply": TEXT, "fault": fault}]}


def read(port: int, sent: bytes, *, tls: bool = False) -> tuple[bytes, str]:
    """What a server answers to `sent`, and how the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        peer = Encrypted(raw) if tls else raw
        peer.sendall(sent)
        data = b""
        try:
            while part := peer.recv(1 << 16):
                data += part
        except ConnectionResetError:
            return data, "reset"
        return data, "closed"


class Encrypted:
    """TLS on a socket. An `ssl.SSLSocket` cannot tell a reset from a close (Python 3.11)."""

    def __init__(self, raw: socket.socket) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self._do(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._do(self._tls.write, data)

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self._do(self._tls.read, size)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        return data

    def _do(self, call: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                self._raw.sendall(self._outgoing.read())
                data = self._raw.recv(1 << 16)
                self._incoming.write(data) if data else self._incoming.write_eof()
            else:
                self._raw.sendall(self._outgoing.read())
                return result


async def answer(fault: Any, *sent: bytes, tls: bool = False) -> tuple[bytes, str]:
    files: dict[str, Any] = {"ssl_certfile": CERTIFICATE, "ssl_keyfile": KEY} if tls else {}
    async with AsyncServer(mocks(fault), **files) as server:
        port = int(server.base_url.rpartition(":")[2])
        return await anyio.to_thread.run_sync(lambda: read(port, b"".join(sent), tls=tls))


in_all_framings = pytest.mark.parametrize(
    ("stream", "version", "tls"),
    [
        (stream, version, tls)
        for stream in (True, False)
        for version, tls in (("1.1", False), ("1.0", False), ("1.1", True))
    ],
)


@in_all_framings
async def test_a_reset_is_a_reset_and_loses_nothing(stream: bool, version: str, tls: bool) -> None:
    fault = {"end": "reset", "after": {"tokens": 3}}

    data, end = await answer(fault, request(stream=stream, version=version), tls=tls)

    assert end == "reset"
    assert b"world" in data
    assert b"how" not in data


@in_all_framings
async def test_a_cut_is_a_close_in_the_middle(stream: bool, version: str, tls: bool) -> None:
    fault = {"end": "cut", "after": {"tokens": 3}}

    data, end = await answer(fault, request(stream=stream, version=version), tls=tls)

    assert end == "closed"
    assert b"world" in data
    assert b"how" not in data
    assert not data.endswith(b"0\r\n\r\n")


@in_all_framings
async def test_a_clean_end_is_that_of_its_framing(stream: bool, version: str, tls: bool) -> None:
    fault = {"end": "clean", "after": {"tokens": 3}}
    sent = request(stream=stream, version=version, more="Connection: close\r\n")

    data, end = await answer(fault, sent, tls=tls)

    assert end == "closed"
    assert b"world" in data
    assert b"how" not in data
    head, _, body = data.partition(b"\r\n\r\n")
    if version == "1.1" and stream:
        assert data.endswith(b"\r\n0\r\n\r\n")
    elif not stream:
        assert b"\r\ncontent-length: %d\r\n" % len(body) in head


@in_all_framings
async def test_an_error_is_in_the_stream_or_the_answer(
    stream: bool, version: str, tls: bool
) -> None:
    fault = {"error": "overloaded", "after": {"tokens": 3}}
    sent = request(stream=stream, version=version, more="Connection: close\r\n")

    data, end = await answer(fault, sent, tls=tls)

    assert end == "closed"
    assert b"server_is_overloaded" in data
    assert (b" 200 " in data[:15], b"world" in data) == (stream, stream)


@in_all_framings
async def test_an_answer_hangs_until_the_server_stops(
    stream: bool, version: str, tls: bool
) -> None:
    files: dict[str, Any] = {"ssl_certfile": CERTIFICATE, "ssl_keyfile": KEY} if tls else {}
    server = AsyncServer(mocks({"end": "hang", "after": {"tokens": 3}}), **files)
    await server.start()
    found = []

    async def ask() -> None:
        port = int(server.base_url.rpartition(":")[2])
        sent = request(stream=stream, version=version)
        found.append(await anyio.to_thread.run_sync(lambda: read(port, sent, tls=tls)))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await server.wait_for_calls(1)  # an answer that hangs is over
            assert found == []
            await server.stop()

    ((data, _),) = found
    assert b"world" in data
    assert b"how" not in data


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_nothing_is_sent_before_the_head(end: str) -> None:
    assert await answer({"end": end}, request()) == (b"", "closed" if end == "cut" else "reset")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_clean_end_leaves_the_connection_open(stream: bool) -> None:
    fault = {"end": "clean", "after": {"tokens": 3}}
    last = request("plain", more="Connection: close\r\n")

    data, end = await answer(fault, request(stream=stream), request(stream=stream), last)

    assert data.count(b"HTTP/1.1 200") == 3
    assert data.count(b"how") == 1
    assert end == "closed"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_clean_end_closes_a_connection_that_closes(stream: bool) -> None:
    fault = {"end": "clean", "after": {"tokens": 3}}

    data, end = await answer(fault, request(stream=stream, more="Connection: close\r\n"))

    assert (b"how" in data, end) == (False, "closed")


async def test_a_cut_is_the_end_of_pipelined_requests() -> None:
    fault = {"end": "cut", "after": {"tokens": 3}}

    data, end = await answer(fault, request("plain"), request(stream=True), request("plain"))

    assert data.count(b"HTTP/1.1 200") == 2
    assert data.count(b"how") == 1
    assert end == "closed"


async def test_pipelined_requests_wait_for_a_pause() -> None:
    fault = [{"pause": "50ms", "after": "first_token"}, {"send": "X", "after": "before_end"}]
    last = request("plain", more="Connection: close\r\n")

    data, _ = await answer(fault, request(stream=True), last)

    assert data.count(b"HTTP/1.1 200") == 2
    assert data.index(b"\r\nX\r\n") < data.rindex(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "fault",
    [
        {"end": "hang"},
        {"end": "hang", "after": "head"},
        {"end": "hang", "after": {"tokens": 3}},
    ],
)
async def test_a_server_that_stops_waits_for_no_answer_that_hangs(fault: Any) -> None:
    server = AsyncServer(mocks(fault), drain_timeout=FOREVER)
    await server.start()
    peer = await Peer.connect(int(server.base_url.rpartition(":")[2]))
    peer.send(request(stream=True))
    await server.wait_for_calls(1)  # an answer that hangs is over

    with anyio.fail_after(PATIENCE):
        await server.stop()
        await peer.ended.wait()


async def test_a_server_that_stops_cuts_a_pause() -> None:
    server = AsyncServer(mocks({"pause": FOREVER, "after": "first_token"}), drain_timeout=0.0)
    await server.start()
    peer = await Peer.connect(int(server.base_url.rpartition(":")[2]))
    peer.send(request(stream=True))
    await peer.read_until(b"Hello")

    with anyio.fail_after(PATIENCE):
        await server.stop()
        await peer.ended.wait()
