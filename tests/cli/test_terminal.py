"""Standard streams that are closed, full or broken."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.http.messages import get
from tests.support.processes import WORKERS, config, posix, until, write
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio


def test_a_closed_pipe_is_not_an_error() -> None:
    """As in ``mockllm schema | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mockllm", "schema"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


@posix
@WORKERS
@pytest.mark.parametrize(
    "redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"]
)
async def test_a_server_runs_with_its_standard_streams_closed_or_full(
    file: Path, workers: int, tmp_path: Path, redirected: str
) -> None:
    """Its URL, hints and warnings are lost, or its descriptors closed."""
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
def test_an_unprintable_message_is_one_line(tmp_path: Path, words: list[str]) -> None:
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
    """True if a server on a Unix socket answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(path))
            sock.sendall(READY)
            return sock.recv(12) == b"HTTP/1.1 200"
        except ConnectionRefusedError:
            return False


READY = get(target="/ready")
