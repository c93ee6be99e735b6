"""Starts the servers that are compared, each as a process on a core of its own.

A server gets a port and a configuration file. If it cannot run here, the error says why.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from benchmarks.loads import AIMOCK, CHUNK_LENGTH, CONFIGS, FASTAPI, H11_LOOP, LIMIT, OURS

ROOT = Path(__file__).parents[2]

POLL = 0.002  # seconds between tries to connect
MAX_START = 30.0  # seconds; some servers need long to load many mocks
MAX_STOP = 5.0  # seconds between SIGTERM and SIGKILL
MAX_INSTALL = 60.0  # seconds


class CannotStartError(Exception):
    """A server that cannot run here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """The parameters of a server. `reply` is a file for the server that answers without parsing,
    `state` the URL of the Redis that has the server's state."""

    port: int
    config: Path
    workers: int = 1
    reply: Path | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to compare. `command` returns its command line, or raises `CannotStartError`."""

    name: str
    title: str
    command: Callable[[LaunchOptions], list[str]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections. `start` are the seconds from exec to the first."""

    pid: int
    port: int
    start: float


def _limit(options: LaunchOptions) -> list[str]:
    if options.reply is None:
        raise CannotStartError(f"no answer of {OURS} to repeat")
    return _script("limit", options.port, options.reply)


def _ours(options: LaunchOptions) -> list[str]:
    command = [sys.executable, "-m", "mockllm", "--config", str(options.config)]
    if options.state:
        command += ["--state", options.state]
    return [*command, "--port", str(options.port), "--workers", str(options.workers)]


def redis_command(port: int) -> list[str]:
    """The command line of a Redis that keeps nothing on disk.

    Raises:
        CannotStartError: it is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise CannotStartError("redis-server is not installed: apt-get install redis-server")
    return [
        program,
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--loglevel",
        "warning",
    ]


def _h11_loop(options: LaunchOptions) -> list[str]:
    return _script("h11_loop", options.port, options.config)


def _fastapi(options: LaunchOptions) -> list[str]:
    for name in ("fastapi", "uvicorn", "httptools"):
        if importlib.util.find_spec(name) is None:
            raise CannotStartError(f"{name} is not installed: pip install -e '.[bench]'")
    return _script("fastapi_mock", options.port, options.config)


def _aimock(options: LaunchOptions) -> list[str]:
    return [
        *("node", _aimock_program()),
        *("--port", str(options.port)),
        *("--fixtures", str(fixtures_beside(options.config))),
        *("--chunk-size", str(CHUNK_LENGTH)),
        *("--log-level", "silent"),
    ]


@cache
def _aimock_program() -> str:
    """The path of the program that npx has installed. It is started directly, because npx itself
    would keep running and count in the figures."""
    if shutil.which("npx") is None:
        raise CannotStartError("npx is not installed")
    package = ("--yes", "--package", "@copilotkit/aimock")
    try:
        found = subprocess.run(  # noqa: S603  # the command line is ours
            ["npx", *package, "--", "which", "llmock"],  # noqa: S607  # the user's npx
            capture_output=True,
            text=True,
            timeout=MAX_INSTALL,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as exc:
        raise CannotStartError(f"npx cannot install @copilotkit/aimock: {exc}") from exc
    return found.stdout.strip()


def _script(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.servers.{name}", *map(str, arguments)]


CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(LIMIT, "parses nothing (the limit)", _limit),
        Contender(OURS, "mockllm", _ours),
        Contender(H11_LOOP, "h11 + orjson loop", _h11_loop),
        Contender(FASTAPI, "FastAPI + uvicorn", _fastapi),
        Contender(AIMOCK, "@copilotkit/aimock (Node)", _aimock),
    )
}


# --- their files ---------------------------------------------------------------------------------


class Files:
    """Creates configuration files in a folder, on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, name: str) -> Path:
        """The file of `CONFIGS[name]`. A file in aimock's format is written beside it, with those
        mocks that match a message."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            config = CONFIGS[name]()
            path.write_bytes(orjson.dumps(config))
            fixtures = [
                _fixture(mock)
                for mock in config["openai"]
                if "message" in mock["match"] and "response" in mock
            ]
            fixtures_beside(path).write_bytes(orjson.dumps({"fixtures": fixtures}))
        return path

    def write(self, name: str, data: bytes) -> Path:
        """Write any other file and return its path."""
        path = self.folder / name
        path.write_bytes(data)
        return path


def fixtures_beside(config: Path) -> Path:
    """The path of the mocks of `config` in aimock's format."""
    return config.with_suffix(".aimock")


def _fixture(mock: dict[str, dict[str, object]]) -> dict[str, object]:
    """Convert a mock to aimock's format, which always matches part of the user's message."""
    message = orjson.loads(orjson.dumps(mock["match"]["message"]))
    response = orjson.loads(orjson.dumps(mock["response"]))
    text = response["choices"][0]["message"]["content"]
    return {"match": {"userMessage": message["content"]}, "response": {"content": text}}


# --- their processes -----------------------------------------------------------------------------


@contextlib.contextmanager
def running(
    command: list[str], port: int, cores: frozenset[int], log: Path, *, timeout: float
) -> Iterator[Running]:
    """Run a server on `cores`; yields once it accepts connections, within `timeout` seconds. All
    its processes are stopped afterwards.

    Raises:
        CannotStartError: it exited (with the last line of its output) or was too slow.
    """
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  # the command line is ours
            command,
            cwd=ROOT,
            env=as_installed(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # safe: this program has no threads
        )
    try:
        _await_connection(process, port, log, timeout)
        yield Running(process.pid, port, time.perf_counter() - started)
    finally:
        _end(process)


def as_installed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server that keeps its bytecode, as installed packages do: to compile
    the source anew at each start takes 0.45 s of CPU."""
    return {name: each for name, each in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def free_port() -> int:
    """A free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _await_connection(
    process: subprocess.Popen[bytes], port: int, log: Path, timeout: float
) -> None:
    deadline = time.perf_counter() + timeout
    while time.perf_counter() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise CannotStartError(f"exited with {process.returncode}: {''.join(last)[-200:]}")
        time.sleep(POLL)
    raise CannotStartError(f"not listening after {timeout:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MAX_STOP)
            return
