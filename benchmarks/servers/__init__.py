"""The servers that are compared: how each is started, and what keeps one from being started.

Each gets a port and the files of a configuration and runs as a process of its own on its own core.
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

from benchmarks.loads import AIMOCK, CONFIGS, FASTAPI, H11_LOOP, LETTERS_OF_CHUNK, LIMIT, OURS

ROOT = Path(__file__).parents[2]

POLL = 0.002  # seconds between tries to connect
MAX_START = 30.0  # seconds; with very many mocks some take long
MAX_STOP = 5.0  # seconds before a server that was asked to end is killed
MAX_INSTALL = 60.0  # seconds


class CannotStartError(Exception):
    """A server does not run here, and why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a server is started with. `reply` is for the one that answers without reading."""

    port: int
    config: Path
    workers: int = 1
    reply: Path | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """`command` makes the command line of an `Order`, or raises `CannotStartError`."""

    name: str
    title: str
    command: Callable[[Order], list[str]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections. `start` are the seconds from exec to the first one."""

    pid: int
    port: int
    start: float


def _limit(order: Order) -> list[str]:
    if order.reply is None:
        raise CannotStartError(f"there is no answer of {OURS} to repeat")
    return _script("limit", order.port, order.reply)


def _ours(order: Order) -> list[str]:
    command = [sys.executable, "-m", "mockllm", "--config", str(order.config)]
    return [*command, "--port", str(order.port), "--workers", str(order.workers)]


def _h11_loop(order: Order) -> list[str]:
    return _script("h11_loop", order.port, order.config)


def _fastapi(order: Order) -> list[str]:
    for name in ("fastapi", "uvicorn", "httptools"):
        if importlib.util.find_spec(name) is None:
            raise CannotStartError(f"{name} is not installed: pip install -e '.[bench]'")
    return _script("fastapi_mock", order.port, order.config)


def _aimock(order: Order) -> list[str]:
    return [
        *("node", _aimock_program()),
        *("--port", str(order.port)),
        *("--fixtures", str(fixtures_beside(order.config))),
        *("--chunk-size", str(LETTERS_OF_CHUNK)),
        *("--log-level", "silent"),
    ]


@cache
def _aimock_program() -> str:
    """Where npx has put it. Started directly, for npx would stay beside it, and in the figures."""
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
    """Configuration files in a folder, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def config(self, name: str) -> Path:
        """The file of `CONFIGS[name]`, and beside it the same for aimock."""
        path = self._folder / f"{name}.json"
        if not path.exists():
            config = CONFIGS[name]()
            path.write_bytes(orjson.dumps(config))
            fixtures = [_fixture(mock) for mock in config["openai"]]
            fixtures_beside(path).write_bytes(orjson.dumps({"fixtures": fixtures}))
        return path

    def keep(self, name: str, data: bytes) -> Path:
        """A file of any other kind."""
        path = self._folder / name
        path.write_bytes(data)
        return path


def fixtures_beside(config: Path) -> Path:
    """Where the mocks of `config` are in aimock's form."""
    return config.with_suffix(".aimock")


def _fixture(mock: dict[str, dict[str, object]]) -> dict[str, object]:
    """aimock compares a part of the user's message, so `match_type` needs no word."""
    message = orjson.loads(orjson.dumps(mock["match"]["message"]))
    response = orjson.loads(orjson.dumps(mock["response"]))
    text = response["choices"][0]["message"]["content"]
    return {"match": {"userMessage": message["content"]}, "response": {"content": text}}


# --- their processes -----------------------------------------------------------------------------


@contextlib.contextmanager
def running(
    command: list[str], port: int, cores: frozenset[int], log: Path, *, patience: float
) -> Iterator[Running]:
    """A server on `cores`, from its first connection on; ended with all its processes afterwards.
    It gets `patience` seconds to listen.

    Raises:
        CannotStartError: it ended or took too long, with the last it said.
    """
    with log.open("wb") as said:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  # the command line is ours
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # safe: this program has no threads
        )
    try:
        _await_connection(process, port, log, patience)
        yield Running(process.pid, port, time.perf_counter() - started)
    finally:
        _end(process)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _await_connection(
    process: subprocess.Popen[bytes], port: int, log: Path, patience: float
) -> None:
    deadline = time.perf_counter() + patience
    while time.perf_counter() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise CannotStartError(f"ended with {process.returncode}: {''.join(last)[-200:]}")
        time.sleep(POLL)
    raise CannotStartError(f"does not listen after {patience:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    for ask in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MAX_STOP)
            return
