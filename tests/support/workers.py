"""A command with several workers and a control API, and a connection to each of its workers."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.processes import Command, running
from tests.support.served import PATIENCE, chat_request

TOKEN = "token-of-the-server"


class Answer(NamedTuple):
    """An answer: its status, and its body as JSON; None without one."""

    status: int
    value: Any


class Client:
    """A connection that is kept alive, so that all its requests reach one worker."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._connection.connect()
        self.port: int = self._connection.sock.getsockname()[1]

    def fileno(self) -> int:
        return int(self._connection.sock.fileno())

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Send a request, whose answer `read` returns."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, data, headers)

    def read(self) -> Answer:
        answer = self._connection.getresponse()
        data = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return Answer(answer.status, orjson.loads(data) if is_json else None)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the control API; `path` is below its prefix."""
        self.send(method, f"/__mockllm/{path}", body)
        return self.read()

    def begin(self, text: str, session: str | None = None) -> None:
        """Ask a mock, whose answer `text` returns."""
        prefix = "" if session is None else f"/session/{session}"
        self.send("POST", f"{prefix}/v1/chat/completions", chat_request(text))

    def text(self) -> str | None:
        """The words of the answer; None if no mock answers."""
        status, value = self.read()
        return value["choices"][0]["message"]["content"] if status == 200 else None

    def say(self, text: str, session: str | None = None) -> str | None:
        self.begin(text, session)
        return self.text()

    def close(self) -> None:
        self._connection.close()


class Workers:
    """The workers of a command."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._open: list[Client] = []

    def clients(self) -> dict[int, Client]:
        """A new connection to each worker, by its process id."""
        wanted = set(self.command.workers())
        found: dict[int, Client] = {}
        for _ in range(50 * len(wanted)):
            client = self.client()
            client.ask("GET", "speed")  # it is accepted
            found.setdefault(self._owner_of(client), client)
            if found.keys() >= wanted:
                return found
        raise AssertionError(f"no connection to {wanted - found.keys()}")

    def client(self) -> Client:
        """A new connection to any worker."""
        client = Client(self.command.port)
        self._open.append(client)
        return client

    def close(self) -> None:
        """Close the connections."""
        while self._open:
            self._open.pop().close()

    def _owner_of(self, client: Client) -> int:
        """The worker that has accepted a connection, by the table of the system."""
        ends = f":{self.command.port:04X}", f":{client.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        (inode,) = {  # the system may list one twice
            inode
            for _, here, there, *_, inode in (each[:10] for each in lines)
            if here.endswith(ends[0]) and there.endswith(ends[1]) and inode != "0"
        }
        for pid in self.command.workers():
            for file in Path(f"/proc/{pid}/fd").iterdir():
                if os.path.lexists(file) and file.readlink() == Path(f"socket:[{inode}]"):
                    return pid
        raise AssertionError("nobody has accepted this connection")


@contextmanager
def serving(
    patch: pytest.MonkeyPatch, config: Path, *options: str, workers: int = 4
) -> Iterator[Workers]:
    """The workers of a command that serves `config`."""
    patch.setenv(TOKEN_VARIABLE, TOKEN)
    arguments: list[str | Path] = ["--control", f"--workers={workers}", "--port=0"]
    with running(*arguments, *options, config) as command:
        known = Workers(command)
        try:
            yield known
        finally:
            known.close()
