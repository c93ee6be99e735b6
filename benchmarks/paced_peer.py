"""Compares paced streams with those of aimock at the same pace: the CPU time of a token, and how
far tokens drift from their pace as a client sees them.

Usage: python -m benchmarks.paced_peer [STREAMS ...]   (500 and 2,000 by default)

Each server has a core, the client another. The drift of a token is from when it would have come,
counted from its stream's first token: that does not depend on what a server counts as the time to
the first one. The client, a loop in Python, reads late under load as well, so it bounds what is
measured for both. Rounds alternate. aimock is skipped if npx cannot install it.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson

from benchmarks import exchange, machine
from benchmarks.exchange import WrongAnswerError
from benchmarks.loads import (
    AIMOCK,
    LOADS,
    OURS,
    PACED_ITL,
    PACED_TEXT,
    PACED_TTFT,
    PACED_WORDS,
    QUESTION,
    Answer,
)
from benchmarks.servers import (
    CONTENDERS,
    MAX_START,
    CannotStartError,
    Files,
    LaunchOptions,
    Running,
    fixtures_beside,
    free_port,
    running,
)

CROWDS = (500, 2_000)
ROUNDS = 2
SPREAD = 1.0  # seconds in which the streams begin
MAX_FILES = 11_000
TOKENS = (b'"content":"chunk', b'"content":" chunk')  # one of them begins each
END = b"data: [DONE]\n\n\r\n0\r\n\r\n"

_REQUEST = LOADS["stream"].request.render(0)


@dataclass(slots=True)
class Stream:
    """A stream as its client sees it."""

    first: float = 0.0  # when its first token came, in monotonic seconds
    tokens: int = 0
    drifts: list[float] = field(default_factory=list)  # in seconds, of the further tokens

    def read(self, data: bytes, now: float) -> None:
        """Note the tokens in `data`, which came `now`."""
        for _ in range(sum(map(data.count, TOKENS))):
            self.first = self.first or now
            if self.tokens:
                self.drifts.append(now - self.first - PACED_ITL * self.tokens)
            self.tokens += 1


def ask(port: int, count: int) -> list[Stream]:
    """Read so many streams, which begin within `SPREAD` seconds, to their ends.

    Raises:
        WrongAnswerError: a stream has stopped, or lacks tokens.
    """
    streams = [Stream() for _ in range(count)]
    with selectors.DefaultSelector() as selector:
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in streams]
        for sock, stream in zip(sockets, streams, strict=True):
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, stream)
        began, asked, left = time.monotonic(), 0, count
        while left:
            while asked < count and time.monotonic() - began >= SPREAD * asked / count:
                sockets[asked].send(_REQUEST)
                asked += 1
            ready = selector.select(0.001 if asked < count else exchange.TIMEOUT)
            if not ready and asked == count:
                raise WrongAnswerError(f"{left} streams have stopped")
            for key, _ in ready:
                sock = cast("socket.socket", key.fileobj)
                data = sock.recv(1 << 16)
                key.data.read(data, time.monotonic())
                if not data or data.endswith(END):
                    selector.unregister(sock)
                    sock.close()
                    left -= 1
    if any(stream.tokens != PACED_WORDS for stream in streams):
        raise WrongAnswerError("a stream lacks tokens")
    return streams


def measure(server: Running, count: int) -> str:
    """Measure one round, and describe it."""
    before = machine.cpu_seconds(server.pid)
    streams = ask(server.port, count)
    cost = (machine.cpu_seconds(server.pid) - before) / (count * PACED_WORDS)
    drifts = sorted(drift for stream in streams for drift in stream.drifts)
    middle, high = (drifts[int(len(drifts) * share)] * 1e3 for share in (0.5, 0.99))
    load = os.getloadavg()[0]
    return f"{cost * 1e6:8.1f} {middle:12.1f} {high:12.1f} {drifts[-1] * 1e3:12.1f} {load:8.1f}"


def _paced_fixture() -> bytes:
    """The mock of `one_paced` in aimock's format."""
    profile = {"ttft": PACED_TTFT * 1000, "tps": 1 / PACED_ITL}
    match, response = {"userMessage": QUESTION}, {"content": PACED_TEXT}
    fixture = {"match": match, "response": response, "streamingProfile": profile}
    return orjson.dumps({"fixtures": [fixture]})


def show(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(name: str, count: int, files: Files, cores: machine.Cores) -> None:
    """Print a row for one server."""
    config = files.config("one_paced")
    fixtures_beside(config).write_bytes(_paced_fixture())
    port = free_port()
    title = f"{count:>8,} {name:8}"
    try:
        command = CONTENDERS[name].command(LaunchOptions(port, config))
        log, own = files.folder / f"{name}.log", frozenset({cores.server})
        with running(command, port, own, log, timeout=MAX_START) as server:
            received = exchange.fetch(port, _REQUEST)
            exchange.check(received, Answer(text=PACED_TEXT, chunks=PACED_WORDS))
            show(f"{title} {measure(server, count)}")
    except (CannotStartError, WrongAnswerError) as exc:
        show(f"{title} skipped: {exc}")


def main(arguments: list[str]) -> None:
    """Compare the servers."""
    crowds = [*map(int, arguments)] or [*CROWDS]
    machine.allow_open_files(MAX_FILES)
    cores = machine.Cores.of_this_process()
    machine.use_core(cores.load)
    show(f"{1 / PACED_ITL:g} tokens a second; times in ms, CPU in µs for a token")
    show(" streams server        CPU    drift p50    drift p99    drift max     load")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        files = Files(Path(folder))
        for count in crowds:
            for number in range(ROUNDS):
                for name in (OURS, AIMOCK)[:: 1 if number % 2 == 0 else -1]:
                    compare(name, count, files, cores)


if __name__ == "__main__":
    main(sys.argv[1:])
