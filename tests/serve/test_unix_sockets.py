"""Servers and the command on a Unix socket, and the file that is its address."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer, ListenError, Server
from tests.support.http.messages import get
from tests.support.http_library import httpx
from tests.support.processes import config, posix, running, write
from tests.support.served import API_KEY, PATIENCE, chat_request

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


def spoken(path: Path) -> bytes:
    """The answer of a server on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(get("Connection: close"))
        return client.makefile("rb").read()


@posix
async def test_serves_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with (
        AsyncServer(config(), uds=path) as server,
        httpx.AsyncClient(transport=transport) as http,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, http_client=http) as client,
    ):
        assert server.base_url == "http://localhost"
        completion = await client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == "yes"
    assert not path.exists()


@posix
def test_the_socket_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Server({}, uds=path):
        assert spoken(path).startswith(b"HTTP/1.1 200")
    assert not path.exists()


@posix
def test_the_socket_file_of_a_running_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with Server({}, uds=path):
        with pytest.raises(ListenError, match="the address is in use"):
            Server({}, uds=path).start()
        assert spoken(path).startswith(b"HTTP/1.1 200")


@posix
def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "precious", "{}")
    with pytest.raises(ListenError, match="a file that is not a socket exists there"):
        Server({}, uds=path).start()
    assert path.read_text() == "{}"


@posix
def test_the_socket_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
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
def test_an_impossible_path_is_an_error(tmp_path: Path, name: str) -> None:
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
