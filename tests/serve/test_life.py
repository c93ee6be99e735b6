"""How the command stops, and what it tells of an address, a certificate and its requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer, ListenError, Server
from mockllm.cli.limit_options import LIMIT_OPTIONS, size
from mockllm.cli.main import main
from mockllm.limits import Limits
from mockllm.redaction import shown
from mockllm.serve.listener import Listener
from tests.serve.http_cases import get
from tests.support.goldens import TESTDATA
from tests.support.processes import (
    LONG_ANSWER,
    REQUEST,
    Command,
    ask,
    config,
    connected,
    failing,
    load,
    nobody_listens,
    posix,
    running,
    until,
    write,
)
from tests.support.served import API_KEY, PATIENCE, chat_request, http_request, port_of

pytestmark = pytest.mark.anyio

CERTIFICATE, KEY = TESTDATA / "tls" / "cert.pem", TESTDATA / "tls" / "key.pem"

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


# --- Stopping -------------------------------------------------------------------------------------


@posix
@WORKERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_finishes_what_is_in_flight_and_exits_with_0(
    file: Path, workers: int, number: int
) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}") as command:
        async with connected(command.port) as connection, connected(command.port) as idle:
            head = await connection.begin()
            command.signal_group(number)  # as Ctrl-C in a terminal: the workers get it too
            await nobody_listens(command.port)
            assert await idle.is_closed()
            assert (await connection.body(head)).text == LONG_ANSWER
            assert await connection.is_closed()
        assert command.ended() == 0
    assert [line for line in command.lines if "WARNING" in line or "ERROR" in line] == []


@posix
@WORKERS
async def test_no_request_is_lost_when_it_stops_under_load(file: Path, workers: int) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}") as command:
        async with load(command.port, ends_with_server=True) as constant:
            command.signal(signal.SIGTERM)
            await nobody_listens(command.port)
        assert command.ended() == 0

    assert constant.failures == []


@posix
@WORKERS
async def test_a_second_signal_cuts_at_once(file: Path, workers: int) -> None:
    patient = f"--drain-timeout={100 * PATIENCE}"
    with running("--config", file, "--port=0", f"--workers={workers}", patient) as command:
        async with connected(command.port) as connection:
            head = await connection.begin()
            command.signal_group(signal.SIGINT)
            await nobody_listens(command.port)
            command.signal_group(signal.SIGINT)
            assert await asyncio.to_thread(command.ended) == 0
            with pytest.raises((EOFError, ConnectionError)):
                await connection.body(head)


@posix
@WORKERS
async def test_cuts_when_the_drain_timeout_is_over(file: Path, workers: int) -> None:
    with running(
        "--config", file, "--port=0", f"--workers={workers}", "--drain-timeout=0.2"
    ) as command:
        async with connected(command.port) as connection:
            await connection.begin()
            command.signal(signal.SIGTERM)
            assert await asyncio.to_thread(command.ended) == 0


@posix
@WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_loading_ends_it_at_once(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    """The file is a pipe, so that what happens while it is read is not a matter of luck."""
    pipe = tmp_path / "mocks.json"
    os.mkfifo(pipe)
    arguments = [sys.executable, "-m", "mockllm", "--config", str(pipe), f"--workers={workers}"]
    process = subprocess.Popen([*arguments, "--port=0"], stderr=subprocess.PIPE, text=True)
    with pipe.open("w"):  # it is being read
        process.send_signal(signal.SIGHUP)  # as one who has changed the file does
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")


def test_a_check_that_is_interrupted_is_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mockllm.cli.main.load_config", interrupt)
    assert main(["check", "mocks.json"]) == 130


@posix
@WORKERS
@pytest.mark.parametrize(
    "redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"]
)
async def test_a_server_serves_whoever_reads_what_it_tells(
    file: Path, workers: int, tmp_path: Path, redirected: str
) -> None:
    """Its first line, its hints and its warnings may go nowhere, its descriptors be closed."""
    path = tmp_path / "m.sock"
    command = f"{sys.executable} -m mockllm --config {file} --workers={workers} --uds {path}"
    process = in_shell(f"exec {command} {redirected}")
    try:
        await until(lambda: path.exists() and answers(path))
    finally:
        process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0


@posix
@pytest.mark.parametrize("words", [["schema"], ["check"]])
def test_what_cannot_be_printed_is_one_line(tmp_path: Path, words: list[str]) -> None:
    arguments = words if words == ["schema"] else [*words, write(tmp_path / "empty.json", "{}")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mockllm", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "mockllm: cannot write: No space left on device\n")


def in_shell(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", command])


def answers(path: Path) -> bool:
    """Whether a server on a Unix socket answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(path))
            sock.sendall(READY)
            return sock.recv(12) == b"HTTP/1.1 200"
        except ConnectionRefusedError:
            return False


# --- Ready ----------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    async with AsyncServer(config()) as server:
        yield server


def listener_of(server: AsyncServer) -> Listener:
    assert server._listener is not None
    return server._listener


READY = get(target="/ready")


async def test_is_ready_once_it_listens(server: AsyncServer) -> None:
    answer = await ask(port_of(server.base_url), READY)
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready"})


async def test_is_not_ready_while_it_drains() -> None:
    server = AsyncServer(config(), drain_timeout=PATIENCE)
    await server.start()
    port, listener = port_of(server.base_url), listener_of(server)
    async with connected(port) as one, connected(port) as other:
        for connection in (one, other):
            assert (await connection.ask(READY)).status == 200
        stopping = asyncio.create_task(listener.stop(PATIENCE, last_call=PATIENCE))
        await nobody_listens(port)
        answer = await one.ask(READY)
        assert (answer.status, answer.closes) == (503, True)
        assert json.loads(answer.body) == {"status": "draining"}
        answer = await other.ask()  # it is answered nevertheless
        assert (answer.status, answer.closes) == (200, True)
        assert await one.is_closed()
        await stopping


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_ready_is_asked_with_get(server: AsyncServer, method: str) -> None:
    answer = await ask(port_of(server.base_url), get(target="/ready", method=method))
    assert answer.status == 405


async def test_who_has_connected_before_it_stops_is_answered() -> None:
    """Though the server has not accepted the connection yet."""
    server = AsyncServer(config())
    await server.start()
    clients = [socket.create_connection(("127.0.0.1", port_of(server.base_url))) for _ in range(5)]
    for client in clients:
        client.sendall(READY)
    await server.stop()
    for client in clients:
        with client:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


# --- Unix sockets ---------------------------------------------------------------------------------


def spoken(path: Path) -> bytes:
    """What a server on a Unix socket answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(get("Connection: close"))
        return client.makefile("rb").read()


@posix
async def test_serves_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with (
        AsyncServer(config(), uds=path) as server,
        httpx2.AsyncClient(transport=transport) as http,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, http_client=http) as client,
    ):
        assert server.base_url == "http://localhost"
        completion = await client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == "yes"
    assert not path.exists()


@posix
def test_the_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Server({}, uds=path):
        assert spoken(path).startswith(b"HTTP/1.1 200")
    assert not path.exists()


@posix
def test_the_file_of_a_living_server_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with Server({}, uds=path):
        with pytest.raises(ListenError, match="the address is in use"):
            Server({}, uds=path).start()
        assert spoken(path).startswith(b"HTTP/1.1 200")


@posix
def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    path = write(tmp_path / "precious", "{}")
    with pytest.raises(ListenError, match="a file that is not a socket exists there"):
        Server({}, uds=path).start()
    assert path.read_text() == "{}"


@posix
def test_the_file_of_the_server_that_took_the_name_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    first, second = Server({}, uds=path), Server({}, uds=path)
    first.start()
    path.unlink()  # as who starts the next one before the last has stopped
    with second:
        first.stop()
        assert spoken(path).startswith(b"HTTP/1.1 200")
    assert not path.exists()


@posix
@pytest.mark.parametrize("name", ["absent/mockllm.sock", "a" * 200, "\0"])
def test_a_path_that_cannot_be_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        Server({}, uds=tmp_path / name).start()


@posix
def test_the_command_listens_on_a_unix_socket(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with running("--config", file, "--uds", path) as command:
        assert command.url == f"unix:{path}"
        assert spoken(path).startswith(b"HTTP/1.1 200")
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert not path.exists()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


async def test_serves_tls(trusting: ssl.SSLContext) -> None:
    async with (
        AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY) as server,
        httpx2.AsyncClient(verify=trusting) as http,
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
        httpx2.Client(verify=trusting) as http,
        OpenAI(base_url=server.openai_base_url, api_key=API_KEY, http_client=http) as client,
    ):
        completion = client.chat.completions.create(**chat_request("hi"))
    assert completion.choices[0].message.content == "yes"


async def test_a_tls_peer_that_closes_is_no_error(
    trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY) as server:
        port = port_of(server.base_url)
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        writer.write(get())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert caplog.records == []


@pytest.mark.parametrize("sent", [b"", b"\x16", b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"])
async def test_stops_though_a_tls_peer_does_not_shake_hands(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(config(), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY)
    await server.start()
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
        async with httpx2.AsyncClient(verify=trusting) as client:
            assert (await client.get(f"{command.url}/ready")).json() == {"status": "ready"}


# --- What is wrong with the command line ----------------------------------------------------------


def told(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and the one line of a command that does not start."""
    status, out, err = failing("--port=0", *arguments)
    assert out == ""
    assert err.count("\n") == 1, err
    return status, err.rstrip("\n")


def test_what_is_wrong_with_a_certificate_is_told(tmp_path: Path) -> None:
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


def test_a_certificate_that_is_not_there_is_one_line() -> None:
    line = "mockllm: cannot serve TLS: no/cert.pem: No such file or directory"
    assert told("--ssl-certfile", "no/cert.pem") == (1, line)


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    line = "error: no/mocks.json: cannot be read: No such file or directory"
    assert told("--config", "no/mocks.json") == (2, line)
    line = f"error: {tmp_path}: expected a directory with *.json files, found none"
    assert told("--config", tmp_path) == (2, line)


def test_a_unix_socket_that_cannot_be_is_one_line() -> None:
    status, out, err = failing("--uds", "no/mockllm.sock")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("mockllm: cannot listen on ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--reload"], "--reload needs --config"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile needs --ssl-certfile"),
        (["--uds", "a.sock", "--port", "1"], "--uds cannot be combined with --host"),
        (["--max-body", "0"], "--max-body: expected at least 1, found '0'"),
        (["--max-body", "much"], "--max-body: expected at least 1, found 'much'"),
        (["--keep-alive", "-1"], "--keep-alive: expected 0 or more, found '-1'"),
        (["--keep-alive", "nan"], "--keep-alive: expected 0 or more, found 'nan'"),
        (["--worker-timeout", "0"], "--worker-timeout: expected more than 0"),
    ],
)
def test_a_mistake_on_the_command_line_is_told(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_key_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="ssl_keyfile needs ssl_certfile"):
        AsyncServer({}, ssl_keyfile=KEY)


# --- Limits ---------------------------------------------------------------------------------------


def test_every_limit_has_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(LIMIT_OPTIONS) == [field.name for field in fields(Limits)]
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    assert [each.option for each in LIMIT_OPTIONS.values() if each.option not in usage] == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("100", 100), ("64KiB", 65536), ("64k", 65536), ("2 MB", 2**21), ("1G", 2**30)],
)
def test_sizes_may_have_a_unit(text: str, number: int) -> None:
    assert size(text) == number


def test_the_command_holds_the_limits_it_is_told(file: Path) -> None:
    with running("--config", file, "--port=0", "--max-body", "50", "--max-headers=4") as command:
        answers = [
            asyncio.run(ask(command.port, request)).status
            for request in (REQUEST, get("A: b", "C: d", "E: f", "G: h"), get("A: b"))
        ]
    assert answers == [413, 431, 200]


async def test_servers_hold_the_limits_they_are_told() -> None:
    async with AsyncServer(config(), limits=Limits(body=50)) as server:
        assert (await ask(port_of(server.base_url))).status == 413


# --- The access log -------------------------------------------------------------------------------

SECRET = "sk-very-secret"
KEYED = http_request(
    f"/v1/chat/completions?api_key={SECRET}&api-version=1",
    chat_request("hi"),
    {"authorization": f"Bearer {SECRET}", "x-api-key": SECRET},
)


def logged(file: Path, *options: str) -> list[str]:
    """What is logged of a request that matches, of one that does not, and of one that is none."""
    with running("--config", file, "--port=0", "--no-auth", *options) as command:
        asyncio.run(ask_all(command))
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert [line for line in command.lines if SECRET in line] == []
    return [line for line in command.lines if not line.startswith(("mockllm:", "export", "warn"))]


async def ask_all(command: Command) -> None:
    for request in (KEYED, get(target="/v1/nothing"), b"nonsense\r\n\r\n"):
        await ask(command.port, request)


@posix
def test_nothing_is_logged_unless_asked(file: Path) -> None:
    assert logged(file) == []


@posix
def test_a_line_for_each_request(file: Path) -> None:
    lines = [line.split(" INFO ")[1].rsplit(" ", 2)[::2] for line in logged(file, "--access-log")]
    assert lines == [
        [
            f"POST /v1/chat/completions?***&api-version=1 200 {file}: openai[0] 'hi'",
            "us",
        ],
        ["GET /v1/nothing 404 [not found]", "us"],
        ["- - 400 [refused]", "us"],
    ]


@posix
def test_a_json_object_for_each_request(file: Path) -> None:
    lines = [json.loads(line) for line in logged(file, "--access-log", "--log-format=json")]
    assert [without_times(line) for line in lines] == [
        {
            "level": "info",
            "method": "POST",
            "path": "/v1/chat/completions?***&api-version=1",
            "status": 200,
            "mock": f"{file}: openai[0] 'hi'",
            "reason": "matched",
        },
        {
            "level": "info",
            "method": "GET",
            "path": "/v1/nothing",
            "status": 404,
            "mock": None,
            "reason": "not found",
        },
        {
            "level": "info",
            "method": "-",
            "path": "-",
            "status": 400,
            "mock": None,
            "reason": "refused",
        },
    ]


def without_times(line: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(line.pop("microseconds"), int)
    assert line.pop("time").endswith("Z")
    return line


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/health", "", "/health"),
        ("", "", "-"),
        ("/a", "beta=true&after=resp_1&limit=5", "/a?beta=true&after=resp_1&limit=5"),
        ("/a", "key=secret&SECRET", "/a?***&***"),
        ("/a", "next=/x?api_key=secret", "/a?***"),
        ("/a", "stream=true;api_key=secret&%6bey=secret&bearer=secret", "/a?***&***&***"),
        ("/a", "after=%26key=secret&beta=secret=secret", "/a?***&***"),
        ("/a\n2026 INFO GET /b", "", "/a?2026?INFO?GET?/b"),
        ("/" + "a" * 5_000, "", "/" + "a" * 999 + "…"),
    ],
)
def test_what_a_log_shows_of_a_target(path: str, query: str, expected: str) -> None:
    assert shown(path, query) == expected
