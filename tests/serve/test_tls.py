"""Servers and the command over TLS, and errors in a certificate."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer, ListenError, Server
from mockllm.serve.protocol import HTTPProtocol
from tests.support.goldens import TESTDATA
from tests.support.http.messages import get
from tests.support.http_library import httpx
from tests.support.processes import WORKERS, config, running, write
from tests.support.served import API_KEY, PATIENCE, chat_request, port_of

pytestmark = pytest.mark.anyio

CERTIFICATE, KEY = TESTDATA / "tls" / "cert.pem", TESTDATA / "tls" / "key.pem"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


async def test_serves_tls(trusting: ssl.SSLContext) -> None:
    async with (
        AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY) as server,
        httpx.AsyncClient(verify=trusting) as http,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, http_client=http) as client,
    ):
        assert server.base_url.startswith("https://127.0.0.1:")
        for _ in range(3):
            completion = await client.chat.completions.create(**chat_request("hi"))
            assert completion.choices[0].message.content == "yes"
        async with client.chat.completions.stream(**chat_request("hi")) as stream:
            streamed = await stream.get_final_completion()
        assert streamed.choices[0].message.content == "yes"


def test_a_sync_server_serves_tls_with_one_file(tmp_path: Path, trusting: ssl.SSLContext) -> None:
    both = write(tmp_path / "both.pem", CERTIFICATE.read_text() + KEY.read_text())
    with (
        Server(config(), ssl_certfile=both) as server,
        httpx.Client(verify=trusting) as http,
        OpenAI(base_url=server.openai_base_url, api_key=API_KEY, http_client=http) as client,
    ):
        completion = client.chat.completions.create(**chat_request("hi"))
    assert completion.choices[0].message.content == "yes"


async def test_a_tls_peer_that_closes_is_not_an_error(
    trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY) as server:
        caplog.clear()  # of the configuration's warnings
        port = port_of(server.base_url)
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        writer.write(get())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert caplog.records == []


async def test_a_tls_connection_that_both_sides_close_is_still_checked(
    trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[HTTPProtocol] = []
    eof_received = HTTPProtocol.eof_received

    def check(protocol: HTTPProtocol) -> bool:
        keeps = eof_received(protocol)
        protocol.check(0.0)
        checked.append(protocol)
        return keeps

    monkeypatch.setattr(HTTPProtocol, "eof_received", check)
    async with AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port_of(server.base_url), ssl=trusting
        )
        writer.write(get("Connection: close"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()

    assert len(checked) == 1


@pytest.mark.parametrize("sent", [b"", b"\x16", b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"])
async def test_stops_despite_an_unfinished_tls_handshake(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY)
    await server.start()
    caplog.clear()  # of the configuration's warnings
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(server.base_url))
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        await server.stop()
    writer.transport.abort()
    assert caplog.records == []


@WORKERS
async def test_the_command_serves_tls(file: Path, workers: int, trusting: ssl.SSLContext) -> None:
    tls = (f"--ssl-certfile={CERTIFICATE}", f"--ssl-keyfile={KEY}")
    with running("--config", file, "--port=0", f"--workers={workers}", *tls) as command:
        async with httpx.AsyncClient(verify=trusting) as client:
            assert (await client.get(f"{command.url}/ready")).json() == {"status": "ready"}


def test_a_bad_certificate_is_an_error(tmp_path: Path) -> None:
    absent, junk = tmp_path / "absent.pem", write(tmp_path / "junk.pem", "junk")
    for certfile, keyfile, reason in [
        (absent, None, f"{absent}: No such file or directory"),
        (tmp_path, None, f"{tmp_path}: Is a directory"),
        (CERTIFICATE, absent, f"{absent}: No such file or directory"),
        (junk, None, f"{junk}: expected a PEM certificate"),
        (CERTIFICATE, None, f"{CERTIFICATE}: expected a PEM certificate"),
    ]:
        with pytest.raises(ListenError) as info:
            Server({}, ssl_certfile=certfile, ssl_keyfile=keyfile).start()
        assert str(info.value).startswith(f"cannot serve TLS: {reason}")


def test_a_key_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="ssl_keyfile needs ssl_certfile"):
        AsyncServer({}, ssl_keyfile=KEY)
