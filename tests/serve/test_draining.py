"""The command, stopped while a client reads slowly: the answer ends, then the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mockllm.cli.main import main
from tests.support.processes import (
    Command,
    connected,
    needs_proc,
    nobody_listens,
    posix,
    running,
    write,
)
from tests.support.served import PATIENCE, chat_mock, chat_request, chat_saying, http_request

pytestmark = [pytest.mark.anyio, posix]

CONFIG = {"openai": [chat_mock("hi", chat_saying("word " * 25_000))]}
"""Streamed, it is more than all buffers between a server and a client hold."""

REQUEST = http_request("/v1/chat/completions", chat_request("hi", stream=True))
END_OF_STREAM = b"data: [DONE]\n\n\r\n0\r\n\r\n"


class SlowReader:
    """A client that requests a stream, reads its first bytes, and the rest in `read_all`."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._sock.settimeout(PATIENCE)
        self._sock.connect(("127.0.0.1", port))
        self._sock.sendall(REQUEST)
        self._received = self._sock.recv(64)
        assert self._received.startswith(b"HTTP/1.1 200 OK\r\n")

    def read_all(self) -> bytes:
        """All bytes received, once the connection has ended."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)  # no longer slowly
        with self._sock, contextlib.suppress(ConnectionError):
            while data := self._sock.recv(65536):
                self._received += data
        return self._received


@contextlib.contextmanager
def serving(tmp_path: Path, *words: str) -> Iterator[Command]:
    file = write(tmp_path / "mocks.json", CONFIG)
    with running("--config", file, "--port", "0", *words) as command:
        yield command


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stream_ends_before_the_command_does(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    with serving(tmp_path, f"--workers={workers}", "--drain-timeout=60") as command:
        readers = [SlowReader(command.port) for _ in range(2)]
        command.signal_group(number)  # as Ctrl-C does: all processes get it
        async with asyncio.timeout(PATIENCE):
            await nobody_listens(command.port)
        for reader in readers:
            assert reader.read_all().endswith(END_OF_STREAM)
        assert command.ended() == 0
        assert not any("Traceback" in line or "replaced" in line for line in command.lines)


@needs_proc
async def test_a_stream_ends_though_its_worker_is_signalled_twice(tmp_path: Path) -> None:
    """Like a process manager that signals all processes, the supervisor first."""
    with serving(tmp_path, "--workers=2", "--drain-timeout=60") as command:
        readers = [SlowReader(command.port) for _ in range(2)]
        workers = command.workers()
        command.signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await nobody_listens(command.port)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):  # it has nobody to wait for
                os.kill(pid, signal.SIGTERM)
        for reader in readers:
            assert reader.read_all().endswith(END_OF_STREAM)
        assert command.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_is_cut_when_its_time_is_over(tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, f"--workers={workers}", "--drain-timeout=0") as command:
        reader = SlowReader(command.port)
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
        assert END_OF_STREAM not in reader.read_all()


async def test_ids_are_unique(tmp_path: Path) -> None:
    request = http_request("/v1/chat/completions", chat_request("hi"))
    with serving(tmp_path, "--workers=2") as command:
        ids = set()
        for _ in range(32):  # connections, which the system spreads
            async with connected(command.port) as connection:
                ids |= {(await connection.ask(request)).body[:40] for _ in range(4)}
    assert len(ids) == 32 * 4


@needs_proc
def test_no_process_is_left(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers=2") as command:
        workers = command.workers()
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert len(workers) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize(("module", "name"), [(os, "fork"), (socket, "SO_REUSEPORT")])
def test_workers_without_fork_are_an_error(
    module: object, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(module, name)
    assert main(["--port", "0", "--workers", "2"]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("mockllm: --workers needs fork")
