"""Standard streams that nobody reads, that are full, closed or stopped, and what is written to
them, as text and as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.support.http.messages import get
from tests.support.processes import WORKERS, ask, config, failing, needs_proc, posix, write
from tests.support.served import PATIENCE, chat_mock, chat_saying, port_of

pytestmark = posix

REQUEST = get(target="/health")
LONG_REQUEST = get(target="/" + "x" * 1000)  # of which the access log has a line as long
MANY = 2_400  # more such lines than a pipe and the queues of two workers hold
CONNECTIONS = 4
START_LINES = 4  # of the demo
FORMATS = pytest.mark.parametrize("form", ["text", "json"])
ENDS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@contextmanager
def unread(*options: str | Path, stderr: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A command that serves, whose standard error nobody reads."""
    words = [sys.executable, "-m", "mockllm", "--port=0", *map(str, options)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)


def port(process: subprocess.Popen[str]) -> int:
    """The port of a command, once it serves."""
    return port_of(stream(process.stdout).readline().strip())


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def ask_many(port: int, count: int = MANY, *, request: bytes = LONG_REQUEST) -> None:
    """Send requests over some connections, and wait for their answers."""
    for _ in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            for _ in range(count // CONNECTIONS // 50):
                client.sendall(request * 50)
                answers = b""
                while answers.count(b"HTTP/1.1 ") < 50 or not answers.endswith(b"}"):
                    received = client.recv(1 << 16)
                    assert received
                    answers += received


def lost(lines: list[str]) -> list[int]:
    """The numbers of lines that were lost, as the log tells them."""
    told = re.compile(r"([\d,]+) lines? w\w+ lost")
    return [int(found[1].replace(",", "")) for line in lines if (found := told.search(line))]


def read_all_but_lost(process: subprocess.Popen[str], written: int) -> list[str]:
    """Read until the lines and those that were lost are `written` lines."""
    lines: list[str] = []
    for line in stream(process.stderr):
        lines.append(line)
        counts = lost([line])
        written -= sum(counts) if counts else 1
        if written <= 0:
            break
    assert written == 0, lines[-5:]
    return lines


# --- Nobody reads ---------------------------------------------------------------------------------


@WORKERS
@FORMATS
@ENDS
def test_a_server_whose_log_nobody_reads_answers_and_stops(
    workers: int, form: str, number: signal.Signals
) -> None:
    options = ["--access-log", f"--workers={workers}", f"--log-format={form}"]
    with unread(*options) as process:
        ask_many(port(process))
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


@WORKERS
@FORMATS
def test_lines_that_were_lost_are_counted(workers: int, form: str) -> None:
    options = ["--access-log", f"--workers={workers}", f"--log-format={form}"]
    with unread(*options) as process:
        ask_many(port(process))
        lines = read_all_but_lost(process, MANY + START_LINES)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert stream(process.stderr).read() == ""

    assert 1 <= len(lost(lines)) <= workers
    if form == "json":
        assert all(isinstance(json.loads(line), dict) for line in lines)


@WORKERS
def test_no_line_is_lost_or_repeated_if_the_log_is_read(workers: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        unread("--access-log", f"--workers={workers}", stderr=file.fileno()) as process,
    ):
        ask_many(port(process), 2_000, request=REQUEST)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert len(log.read_text().splitlines()) == 2_000 + START_LINES


@WORKERS
def test_a_log_nobody_reads_does_not_keep_it_from_reloading(workers: int, tmp_path: Path) -> None:
    """The supervisor's own lines find the pipe full, and so do those of the workers it forks."""
    file = write(tmp_path / "mocks.json", config("before"))
    with unread("--access-log", "--config", file, f"--workers={workers}") as process:
        number = port(process)
        ask_many(number)
        write(file, config("after"))
        process.send_signal(signal.SIGHUP)
        until(lambda: asyncio.run(ask(number)).text == "after")
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(stream(process.stderr)))
        reader.start()
        until(lambda: any("reloaded" in line or lost([line]) for line in lines))
        file.write_text("{")
        process.send_signal(signal.SIGHUP)
        until(lambda: any("reload failed" in line for line in lines))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        reader.join(PATIENCE)

    said = [line for line in lines if line.startswith("mockllm: ")]
    if workers == 1:  # among the lines of the access log, it found the queue full
        said.insert(1, RELOADED)
    assert said == [
        RELOADED.replace("reloaded: ", ""),
        RELOADED,
        "mockllm: reload failed; still serving the previous configuration\n",
    ]


RELOADED = "mockllm: reloaded: openai: 1, openai_response: 0, anthropic: 0, openai_embeddings: 0\n"


def until(holds: Callable[[], bool]) -> None:
    """Poll until `holds()`: for states of other processes, which send no event."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@WORKERS
@pytest.mark.parametrize("signals", [2, 5])
def test_signals_during_the_last_writes_end_it_with_0(workers: int, signals: int) -> None:
    with unread("--access-log", f"--workers={workers}", "--drain-timeout=0") as process:
        ask_many(port(process))
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
        assert process.wait(PATIENCE) == 0


@WORKERS
def test_a_stopped_terminal_does_not_stop_the_server(workers: int) -> None:
    """As by Ctrl-S."""
    master, slave = pty.openpty()
    try:
        termios.tcflow(slave, termios.TCOOFF)
        with unread("--access-log", f"--workers={workers}", stderr=slave) as process:
            ask_many(port(process), 2_000, request=REQUEST)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    finally:
        termios.tcflow(slave, termios.TCOON)
        os.close(master)
        os.close(slave)


@WORKERS
@pytest.mark.parametrize("kind", ["full", "reader gone"])
def test_a_log_that_cannot_be_written_does_not_matter(workers: int, kind: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    descriptor = os.open("/dev/full", os.O_WRONLY) if kind == "full" else writer
    with unread("--access-log", f"--workers={workers}", stderr=descriptor) as process:
        ask_many(port(process), 2_000, request=REQUEST)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    os.close(writer)


@WORKERS
def test_a_full_pipe_of_both_streams_does_not_keep_it_from_serving(
    workers: int, tmp_path: Path
) -> None:
    """As with ``2>&1``, if somebody else has filled the pipe."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 4096)
    os.set_blocking(writer, True)
    path = tmp_path / "m.sock"
    words = [sys.executable, "-m", "mockllm", f"--uds={path}", f"--workers={workers}"]
    process = subprocess.Popen(words, stdout=writer, stderr=writer)
    try:
        until(path.exists)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            until(lambda: client.connect_ex(str(path)) == 0)
            client.sendall(REQUEST)
            assert client.recv(12) == b"HTTP/1.1 200"
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        os.close(reader)
        os.close(writer)


@needs_proc
def test_a_process_that_forks_has_no_other_thread() -> None:
    with unread("--workers=2") as process:
        port(process)
        assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1


# --- Every line is JSON ---------------------------------------------------------------------------


def messages(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Level and message of JSON lines that have nothing but these and the time."""
    objects = [json.loads(line) for line in lines]
    assert all(each.keys() == {"time", "level", "message"} for each in objects), objects
    return [(each["level"], each["message"]) for each in objects]


@WORKERS
def test_what_the_command_says_is_json(workers: int, tmp_path: Path) -> None:
    odd = {"openai": [chat_mock("hi", chat_saying("yes") | {"creatd": 1})]}
    file = write(tmp_path / "mocks.json", odd)
    options = ["--log-format=json", "--log-level=error", f"--workers={workers}"]
    with unread(*options, "--config", file) as process:
        number = port(process)
        file.write_text("{")
        process.send_signal(signal.SIGHUP)
        lines = [stream(process.stderr).readline() for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        lines += stream(process.stderr).readlines()

    said = messages(lines)
    assert [level for level, _ in said] == ["warning", *["info"] * 3, "error", "error"]
    assert said[0][1].startswith(f"{file}: openai[0] 'hi': response.creatd: ")
    assert said[1:4] == [
        ("info", "openai: 1, openai_response: 0, anthropic: 0, openai_embeddings: 0"),
        ("info", f"export OPENAI_BASE_URL=http://127.0.0.1:{number}/v1 OPENAI_API_KEY=any"),
        ("info", f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{number} ANTHROPIC_API_KEY=any"),
    ]
    assert said[4][1].startswith(f"{file}: is not JSON: ")
    assert said[5][1] == "reload failed; still serving the previous configuration"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--config=no.json"], 2, "no.json: cannot be read: No such file or directory"),
        (["--uds=no/m.sock"], 1, "cannot listen on "),
        (["--ssl-certfile=no.pem"], 1, "cannot serve TLS: no.pem: No such file or directory"),
    ],
)
def test_an_error_at_the_start_is_json(options: list[str], status: int, message: str) -> None:
    ended, output, errors = failing("--log-format=json", *options)
    (said,) = messages(errors.splitlines())
    assert (ended, output, said[0]) == (status, "", "error")
    assert said[1].startswith(message)


@needs_proc
def test_a_dead_worker_is_json() -> None:
    with unread("--log-format=json", "--workers=2") as process:
        port(process)
        for _ in range(START_LINES):
            stream(process.stderr).readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGKILL)
        (said,) = messages([stream(process.stderr).readline()])
    assert said[0] == "warning"
    assert "exited with -9" in said[1]


OTHERS = """
import logging, sys, threading, warnings
from mockllm.cli.console import Console

class Odd:
    def __del__(self):
        raise ValueError("unraisable")

with Console("json", "warning", threads=True):
    logging.getLogger("another.library").warning("two\\nlines")
    warnings.warn("a warning")
    print("printed", file=sys.stderr)
    print("unfinished", end="", file=sys.stderr)
    thread = threading.Thread(target=lambda: 1 / 0, name="broken")
    thread.start()
    thread.join()
    Odd()
print("text again", file=sys.stderr)
"""


def test_what_others_write_is_json() -> None:
    done = subprocess.run([sys.executable, "-c", OTHERS], capture_output=True, text=True)
    *lines, after = done.stderr.splitlines()
    said = [json.loads(line) for line in lines]
    assert after == "text again"
    assert [each["message"].partition(" at 0x")[0] for each in said] == [
        "two\nlines",
        "<string>:11: UserWarning: a warning\n",
        "printed",
        "internal error in the thread broken",
        "Exception ignored in: <function Odd.__del__",
        "unfinished",
    ]
    assert "ZeroDivisionError" in said[3]["error"]
    assert "ValueError: unraisable" in said[4]["error"]
