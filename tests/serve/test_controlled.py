"""The control API of real servers: their tokens, peers, loops and options."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from anyio import fail_after

from mockllm import AsyncServer, MockLLMError, Server
from mockllm.serve import controlled
from mockllm.serve.controlled import TOKEN_VARIABLE, given_token, make_token
from tests.support.http_library import httpx
from tests.support.processes import failing, posix, running, until, write
from tests.support.served import (
    OPENAI_HEADERS,
    PATIENCE,
    chat_request,
    http_request,
    nothing_left_behind,
    port_of,
)

pytestmark = pytest.mark.anyio

CONFIG: dict[str, Any] = {"mocks": [{"name": "greet", "match": {"user": "Hello"}, "reply": "Hi"}]}
PREFIX = "/__mockllm"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with nothing_left_behind(), Server(CONFIG, control=True) as server:
        yield server


def client(url: str, token: str | None) -> httpx.Client:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE)


def say(http: httpx.Client, text: str) -> str | None:
    answer = http.post("/v1/chat/completions", json=chat_request(text), headers=OPENAI_HEADERS)
    if answer.status_code != 200:
        return None
    return str(answer.json()["choices"][0]["message"]["content"])


# --- Servers of a program -------------------------------------------------------------------------


def test_a_server_is_read_and_changed_while_it_runs(server: Server) -> None:
    with client(server.base_url, server.control_token) as http:
        assert say(http, "new") is None
        added = http.post(f"{PREFIX}/mocks", json={"user": "new", "reply": "added"})
        assert added.status_code == 201
        assert say(http, "new") == "added"
        found = http.get(f"{PREFIX}/calls").json()["calls"]

    assert [call["status"] for call in found] == [404, 200]
    assert len(server.calls) == 2
    server.mocks["added[0]"].assert_called_once()


def test_what_python_adds_is_seen_too(server: Server) -> None:
    handle = server.add(name="mine", user="x", reply="y")
    with client(server.base_url, server.control_token) as http:
        assert http.get(f"{PREFIX}/mocks/mine").json()["id"] == "added[0]"
        assert http.delete(
            f"{PREFIX}/mocks/mine", headers={"content-type": "application/json"}
        ).is_success
        assert say(http, "x") is None
    handle.remove()  # without effect


async def test_who_asks_and_leaves_before_the_answer_is_no_call(server: Server) -> None:
    waiting = server._serving().gates.listeners
    wanted = {"assert": "gate", "gate": "g", "timeout": 60}
    headers = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {server.control_token}",
        "content-type": "application/json",
    }
    with socket.create_connection(("127.0.0.1", port_of(server.base_url))) as peer:
        peer.sendall(http_request(f"{PREFIX}/verify", wanted, headers))
        await until(lambda: bool(waiting))
    await until(lambda: not waiting)
    with client(server.base_url, None) as http:
        assert say(http, "new") is None

    assert [call.path for call in server.calls] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            {"assert": "calls", "count": 1, "timeout": 60},
            "expected 1 call before the server stopped, found no call",
        ),
        (
            {"assert": "gate", "gate": "g", "timeout": 60},
            "expected 1 answer at gate 'g' before the server stopped, found no answer",
        ),
    ],
)
def test_who_waits_is_answered_when_the_server_stops(
    wanted: dict[str, object], expected: str
) -> None:
    with Server(CONFIG, control=True, drain_timeout=PATIENCE) as server:
        http = client(server.base_url, server.control_token)
        listeners = server._serving().gates.listeners
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(http.post, f"{PREFIX}/verify", json=wanted)
            while not listeners:
                assert not asking.done()
            server.stop()
            answer = asking.result()
        http.close()

    assert (answer.status_code, answer.headers["connection"]) == (409, "close")
    assert answer.json()["error"]["message"].splitlines()[0] == expected


def test_without_control_there_is_nothing() -> None:
    with Server(CONFIG) as server, client(server.base_url, "any-token-at-all") as http:
        assert http.get(f"{PREFIX}/calls").status_code == 404
        with pytest.raises(RuntimeError, match="give it control=True"):
            _ = server.control_token


def test_errors_of_http_have_no_header_of_cors(server: Server) -> None:
    head = f"POST {PREFIX}/mocks HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(server.base_url.rpartition(":")[2]))) as sock:
        sock.sendall(head.encode())
        answer = sock.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"access-control" not in answer


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_foreign_page_reads_and_changes_nothing(server: Server, method: str) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    with client(server.base_url, server.control_token) as http:
        refused = http.request(method, f"{PREFIX}/mocks", json={"reply": "x"}, headers=headers)
        usual = http.options("/v1/models", headers=headers)

    assert refused.status_code == 403
    assert not [name for name in refused.headers if name.startswith("access-control-")]
    assert usual.headers["access-control-allow-origin"] == "*"
    assert list(server.mocks) == ["greet"]


def test_a_token_ends_with_the_server() -> None:
    server = Server(CONFIG, control=True)
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.control_token
    with server:
        first = server.control_token
    with server:
        assert server.control_token != first


def test_the_environment_may_give_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "given-token")
    with Server(CONFIG, control=True) as server:
        assert server.control_token == "given-token"


@pytest.mark.parametrize("token", ["", "short", "with a space", "é" * 10, "x" * 513, "a\nb" * 9])
def test_a_bad_token_is_an_error(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(MockLLMError, match="MOCKLLM_CONTROL_TOKEN: expected at least 8") as caught:
        make_token()
    assert token not in str(caught.value) or not token


def test_tokens_are_made_anew() -> None:
    assert given_token() is None
    assert make_token() != make_token()
    assert len(make_token()) == 43


def test_templates_need_control() -> None:
    with pytest.raises(ValueError, match="control_templates needs control"):
        Server(CONFIG, control_templates=True)


def test_the_speed_is_that_of_the_clock() -> None:
    slow = {"mocks": [{"reply": "x", "latency": {"ttft": "1h"}}]}
    with (
        Server(slow, control=True) as server,
        client(server.base_url, server.control_token) as http,
    ):
        assert http.put(f"{PREFIX}/speed", json={"speed": 1_000_000}).json() == {"speed": 1e6}
        assert say(http, "a") == "x"


# --- Waiting --------------------------------------------------------------------------------------


async def test_calls_are_waited_for_without_polling() -> None:
    async with AsyncServer(CONFIG, control=True) as server:
        headers = {"authorization": f"Bearer {server.control_token}"}
        async with httpx.AsyncClient(base_url=server.base_url, timeout=PATIENCE) as http:
            body = {"assert": "calls", "count": 1, "timeout": 30}
            waiting = asyncio.create_task(http.post(f"{PREFIX}/verify", json=body, headers=headers))
            with fail_after(PATIENCE):
                assert server._journal is not None
                while not server._journal.listeners:  # noqa: ASYNC110  # until it waits
                    await asyncio.sleep(0)
                await http.post(
                    "/v1/chat/completions", json=chat_request("Hello"), headers=OPENAI_HEADERS
                )
                assert (await waiting).json() == {"holds": True}


async def test_whoever_waits_and_leaves_is_forgotten() -> None:
    async with AsyncServer(CONFIG, control=True) as server:
        host, _, port = server.base_url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        body = b'{"assert": "calls", "count": 9, "timeout": 60}'
        writer.write(
            f"POST {PREFIX}/verify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {server.control_token}\r\nContent-Length: {len(body)}\r\n\r\n"
            "".encode()
            + body
        )
        journal = server._journal
        assert journal is not None
        with fail_after(PATIENCE):
            while not journal.listeners:  # noqa: ASYNC110  # until it waits
                await asyncio.sleep(0)
            writer.write_eof()
            while journal.listeners:  # noqa: ASYNC110  # until it has left
                await asyncio.sleep(0)
        writer.close()


def test_calls_that_do_not_come_are_told(server: Server) -> None:
    with client(server.base_url, server.control_token) as http:
        body = {"assert": "calls", "count": 1, "timeout": 0.01}
        told = http.post(f"{PREFIX}/verify", json=body)

    assert told.status_code == 409
    assert told.json()["error"]["message"].startswith("expected 1 call within 0.01 s")


def test_many_change_one_server_at_once(server: Server) -> None:
    def work(number: int) -> None:
        with client(server.base_url, server.control_token) as http:
            for _ in range(10):
                name = f"of-{number}"
                assert http.put(
                    f"{PREFIX}/mocks/{name}", json={"user": name, "reply": name}
                ).is_success
                assert say(http, name) == name

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(server.calls) == 40
    assert sorted(server.mocks) == ["greet", *(f"of-{number}" for number in range(4))]


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", CONFIG)


def test_the_command_prints_a_link_with_the_token(file: Path) -> None:
    with running("--port", "0", "--control", file) as command:
        (line,) = command.told("control: ")
        url, _, token = line.removeprefix("control: ").partition("#token=")
        assert url == f"{command.url}{PREFIX}/"
        with client(command.url, token) as http:
            assert say(http, "Hello") == "Hi"
            assert http.get(f"{PREFIX}/calls").json()["calls"][0]["mock"] == "greet"
        with client(command.url, None) as http:
            assert http.get(f"{PREFIX}/calls").status_code == 401


@posix
def test_open_control_needs_no_token_on_a_unix_socket(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with running("--control=open", "--uds", path, file) as command:
        command.told(f"control: http://localhost{PREFIX}/")
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://localhost") as http:
            assert http.post(f"{PREFIX}/mocks", json={"reply": "open"}).status_code == 201
            assert say(http, "x") == "open"
            assert http.get(f"{PREFIX}/calls", headers={"via": "1.1 x"}).status_code == 403


@posix
def test_open_control_on_a_port_outlives_a_reload(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "given-token")
    arguments = ("--control=open", "--port", "0", "--reload", "--journal", "1", file)
    with running(*arguments) as command, client(command.url, None) as http:
        command.told("control: ")
        assert not [line for line in command.lines if "given-token" in line]
        assert http.post(f"{PREFIX}/mocks", json={"user": "a", "reply": "b"}).is_success
        write(file, {"mocks": [{"match": {"user": "Hello"}, "reply": "changed"}]})
        command.told("reloaded")
        assert (say(http, "a"), say(http, "Hello")) == ("b", "changed")
        page = http.get(f"{PREFIX}/calls").json()
        assert ([each["text"] for each in page["calls"]], page["lost"]) == (["Hello"], 1)
        with client(command.url, "given-token") as other:
            forwarded = {"x-forwarded-for": "1.2.3.4"}
            assert other.get(f"{PREFIX}/calls", headers=forwarded).is_success


@posix
def test_an_answer_that_is_held_too_long_is_cut(tmp_path: Path) -> None:
    held = {"mocks": [{"reply": "x", "fault": {"hold": "g", "after": "head"}}]}
    file = write(tmp_path / "held.json", held)
    with running("--control=open", "--port=0", "--hold-for=0.01", file) as command:
        with (
            client(command.url, None) as http,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            say(http, "x")
        with client(command.url, None) as http:
            (call,) = http.get(f"{PREFIX}/calls").json()["calls"]
    assert (call["delivery"], call["held_at"]) == ("cut", "g")


def test_a_bad_token_ends_the_command(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "short")

    status, _, told = failing("--control", "--port", "0", file)

    assert (status, told.count("\n")) == (1, 1)
    assert "MOCKLLM_CONTROL_TOKEN: expected at least 8 characters" in told


def test_the_settings_do_not_show_the_token() -> None:
    assert "secret-token" not in repr(controlled.ControlSettings("secret-token"))
