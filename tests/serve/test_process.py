"""The command as a process, ended by signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import (
    LONG_ANSWER,
    WORKERS,
    config,
    connected,
    load,
    nobody_listens,
    posix,
    running,
    write,
)
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


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
            await asyncio.to_thread(command.told, "a second Ctrl-C cuts them")
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


READING_A_PIPE = """
import sys
from pathlib import Path
from mockllm.cli.main import main
from mockllm.config import files

pipe, read_file = Path(sys.argv.pop(1)), files.read_file
files.read_file = lambda path: (pipe.read_bytes(), read_file(path))[1]
sys.exit(main())
"""
"""The command, which first reads a pipe when it reads a file."""


@posix
@WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_loading_ends_it_at_once(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    """Reading waits for a pipe, so that what happens while it lasts is not a matter of luck."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "mocks.json").write_text("{}")
    options = [f"--config={tmp_path / 'mocks.json'}", f"--workers={workers}", "--port=0"]
    command = [sys.executable, "-c", READING_A_PIPE, str(pipe), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with pipe.open("w"):  # it is being read
        process.send_signal(signal.SIGHUP)  # as one who has changed the file does
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")


# --- Garbage --------------------------------------------------------------------------------------

_SERVE = """
import gc, os, signal
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve import process
from mockllm.serve.settings import Settings

process.GARBAGE_INTERVAL = 0.0
polls = []
process.GarbageCollector.poll = lambda self: polls.append(gc.get_threshold()[2])

def stop():
    if len(polls) < 2:
        process.asyncio.get_running_loop().call_soon(stop)
    else:
        print(min(polls) > 1_000_000)
        os.kill(os.getpid(), signal.SIGTERM)

with Settings().bind() as bound:
    process.serve(Engine(load(Config())), bound, Settings(), listening=stop, draining=stop)
"""


@posix
def test_a_process_polls_for_garbage_and_the_interpreter_does_not_search_for_it() -> None:
    script = [sys.executable, "-c", _SERVE]
    ended = subprocess.run(script, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")
