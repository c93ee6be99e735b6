"""The command as a subprocess, and clients that keep sending requests to it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from mockllm.cli.options import serve_options
from tests.support.served import (
    PATIENCE,
    Json,
    chat_mock,
    chat_request,
    chat_saying,
    http_request,
    port_of,
)

QUESTION = "hi"
REQUEST = http_request("/v1/chat/completions", chat_request(QUESTION))
LONG_QUESTION = "large"
LONG_REQUEST = http_request("/v1/chat/completions", chat_request(LONG_QUESTION))
LONG_ANSWER = "large " * 2_000_000  # more than all buffers between two processes hold
UNUSED = 0.2  # seconds after which a connection may be closed before it is used again

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="signals")
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def config(answer: str = "yes", *, large: bool = False) -> Json:
    mocks = [chat_mock(QUESTION, chat_saying(answer))]
    if large:
        mocks.append(chat_mock(LONG_QUESTION, chat_saying(LONG_ANSWER)))
    return {"openai": mocks}


def write(file: Path, content: Json | str) -> Path:
    """Replace `file` at once, as careful editors do."""
    beside = file.with_suffix(".new")
    beside.write_text(content if isinstance(content, str) else json.dumps(content))
    return beside.replace(file)


def remove(file: Path) -> None:
    """Delete `file`."""
    file.unlink()


def is_accepted(*options: str) -> bool:
    """Whether the command takes these options."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            serve_options(options)
        except SystemExit:
            return False
    return True


class Command:
    """A process of ``mockllm`` with arguments, in its own session."""

    def __init__(self, *arguments: str | Path) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="mockllm-test-", dir="/tmp")
        self.temporary = Path(self._temporary.name)
        """Its temporary directory, short enough for the path of a Unix socket."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mockllm", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": self._temporary.name},
        )
        self.lines: list[str] = []
        """Lines of its standard error."""
        self._told = threading.Condition()
        self._listener = threading.Thread(target=self._listen, name="asyncio_stderr", daemon=True)
        self._listener.start()
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().rstrip("\n")
        """The first line on standard output; empty if it has ended before."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return port_of(self.url)

    def told(self, text: str, times: int = 1) -> list[str]:
        """The lines that contain `text`, once there are `times` of them."""
        with self._told:
            assert self._told.wait_for(lambda: len(self._with(text)) >= times, PATIENCE), self.lines
            return self._with(text)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Send a signal to its process group, as Ctrl-C in a terminal does."""
        os.killpg(self.pid, number)

    def ended(self) -> int:
        """The exit status, once it has ended and its output is read."""
        status = self._process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        return status

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        self._temporary.cleanup()

    def _with(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._told:
                self.lines.append(line.rstrip("\n"))
                self._told.notify_all()


@contextmanager
def running(*arguments: str | Path) -> Iterator[Command]:
    """A command that listens; killed at the end."""
    command = Command(*arguments)
    try:
        assert command.url, command.lines
        yield command
    finally:
        command.close()


def failing(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that ends by itself."""
    words = [sys.executable, "-m", "mockllm", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


# --- one connection -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `closes` tells whether it announces the end of the connection."""

    status: int
    body: bytes
    closes: bool

    @property
    def text(self) -> str:
        """The text of the model."""
        says: str = orjson.loads(self.body)["choices"][0]["message"]["content"]
        return says


@dataclass(slots=True)
class Connection:
    """A client's end of a keep-alive connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes = REQUEST) -> Answer:
        """The answer to `request`.

        Raises:
            OSError, EOFError: it did not come.
        """
        return await self.body(await self.begin(request))

    async def begin(self, request: bytes = LONG_REQUEST) -> bytes:
        """Ask, and read no more than the head of the answer."""
        self.writer.write(request)
        return await self.reader.readuntil(b"\r\n\r\n")

    async def body(self, head: bytes) -> Answer:
        """The answer whose head this is."""
        lines = head.lower().split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(fields[b"content-length"]))
        status = int(lines[0].split()[1])
        return Answer(status, body, fields.get(b"connection") == b"close")

    async def is_closed(self) -> bool:
        """True once the server closes."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


async def ask(port: int, request: bytes = REQUEST) -> Answer:
    """The answer to a new client."""
    async with connected(port) as connection:
        return await connection.ask(request)


async def until(holds: Callable[[], bool]) -> None:
    """Poll until `holds()`: for states of other processes, which send no event."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(0.01)


async def nobody_listens(port: int) -> None:
    """Wait until connections are refused."""

    def refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) != 0

    await until(refused)


# --- load -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Load:
    """Clients that send requests without a pause: half of them keep their connections, half open a
    new one for each request."""

    port: int
    ends_with_server: bool = False
    """True if a refused connection is the end, not a failure."""
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stopping: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int = 200) -> None:
        """Wait for `count` more answers."""
        wanted = self.answers.total() + count
        async with asyncio.timeout(PATIENCE):
            while self.answers.total() < wanted:
                self._more.clear()
                await self._more.wait()

    async def ask_on(self, *, keep: bool) -> None:
        """Send requests until `stopping`."""
        while not self.stopping:
            try:
                async with connected(self.port) as connection:
                    await self._ask_on(connection, keep)
            except OSError as exc:
                if self.ends_with_server:
                    return
                self.failures.append(f"no connection: {exc!r}")

    async def _ask_on(self, connection: Connection, keep: bool) -> None:
        now = asyncio.get_running_loop().time
        asked = 0.0
        while not self.stopping:
            unused, asked = asked and now() - asked, now()
            try:
                answer = await connection.ask()
            except (OSError, EOFError) as exc:
                if unused < UNUSED:
                    self.failures.append(f"no answer: {exc!r}")
                return
            if answer.status != 200:
                self.failures.append(f"{answer.status}")
            self.answers[answer.text] += 1
            self._more.set()
            if answer.closes or not keep:
                return
            asked = now()


@asynccontextmanager
async def load(
    port: int, clients: int = 8, *, ends_with_server: bool = False
) -> AsyncIterator[Load]:
    """Constant load inside the block, begun before it is entered."""
    constant = Load(port, ends_with_server)
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(constant.ask_on(keep=number % 2 == 0))
        await constant.more()
        try:
            yield constant
        finally:
            constant.stopping = True
