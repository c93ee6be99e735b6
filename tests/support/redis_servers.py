"""Real Redis servers, and a store that asks one of them without a loop."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mockllm.serve.distant.redis_scripts import Asker, perform_arguments, perform_source, performed
from mockllm.state.operations import Operation, Result

CERTIFICATE, KEY = (
    Path(__file__).parents[2] / "testdata" / "tls" / name for name in ("cert.pem", "key.pem")
)
PROGRAM = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ,
    reason="redis-server is not installed (apt-get install redis-server)",
)

_prefixes = (f"test-{number}:" for number in itertools.count())


class RedisServer:
    """A Redis server of its own on a free port, until it is closed. Without `persists` it forgets
    everything when it is stopped. With `tls` it has the certificate `CERTIFICATE`."""

    def __init__(self, *options: str, persists: bool = False, tls: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mockllm-redis-"))
        self._options = [*options, "--save", "", "--dir", str(self._folder)]
        if persists:
            self._options += ["--appendonly", "yes", "--appendfsync", "always"]
        self._tls = tls
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        if self._tls:
            address[-2:] = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            address += ["--tls-cert-file", str(CERTIFICATE), "--tls-key-file", str(KEY)]
        command = [PROGRAM or "redis-server", *address, *self._options]
        output = (self._folder / "log").open("ab")
        with output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        with self.client() as client:
            wait_for(client, lambda: self._is_running() or (self._folder / "log").read_text())

    def _is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def client(self) -> redis.Redis:
        return redis.Redis(
            port=self.port,
            socket_timeout=20,
            retry=Retry(NoBackoff(), 0),
            ssl=self._tls,
            ssl_ca_certs=str(CERTIFICATE),
        )

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_for(client: redis.Redis, is_running: Callable[[], bool | str] = lambda: True) -> None:
    """Wait until the server of `client` answers, if only that it wants a password."""
    while True:
        try:
            client.ping()
        except redis.AuthenticationError:
            return
        except redis.ConnectionError:  # also while it loads
            assert is_running() is True
            continue
        return


def free_port() -> int:
    """A port on which nobody listens, and that the system gives to no client meanwhile: those are
    32768 and above."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # a seed would give all workers the same
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@cache
def shared_server() -> RedisServer:
    """The server of all tests of this process that do not stop it."""
    server = RedisServer()
    atexit.register(server.close)
    return server


@cache
def shared_client() -> redis.Redis:
    """A client of the shared server."""
    client = shared_server().client()
    atexit.register(client.close)
    return client


def all_keys() -> set[str]:
    """The keys in the shared server."""
    keys = shared_client().keys()
    return {key.decode(errors="replace") if isinstance(key, bytes) else key for key in keys}


def new_prefix() -> str:
    """A prefix that no other test of this process has."""
    return next(_prefixes)


@cache
def _script(source: str) -> Callable[..., Any]:
    return shared_client().register_script(source)


class ScriptStore:
    """A store in the shared server, whose question is the script that every Redis store runs."""

    def __init__(self, owner: str = "server worker") -> None:
        self.prefix = new_prefix()
        self._asker = Asker(owner, "epoch")
        self.gone: list[str] = []

    def perform(self, operations: Sequence[Operation], now: float | None) -> Sequence[Result]:
        arguments = perform_arguments(operations, self._asker, now)
        reply = _script(perform_source())([self.prefix], arguments)
        found = performed(operations, reply)
        self.gone += found.gone
        return found.results
