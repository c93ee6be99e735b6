"""Compares paced streams with those of aimock at the same pace, and with a loop that writes ready
bytes (`servers.paced_limit`): the CPU time of a token, and how far tokens drift from their pace as
a client sees them.

Usage: python -m benchmarks.paced_peer [STREAMS ...]   (500 and 2,000 by default)

Writes all rounds to ``benchmarks/results/paced.json``, and ``paced.svg``, the picture of them.

Each server has a core, the client another. The drift of a token is from when it would have come,
counted from its stream's first token: that does not depend on what a server counts as the time to
the first one. The client, a loop in Python, reads late under load as well, so it bounds what is
measured for both. Rounds alternate. aimock is skipped if npx cannot install it.
"""

from __future__ import annotations

import datetime
import json
import os
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson

from benchmarks import exchange, machine, paced
from benchmarks.exchange import WrongAnswerError
from benchmarks.loads import (
    AIMOCK,
    LIMIT,
    LOADS,
    OURS,
    PACED_ITL,
    PACED_TEXT,
    PACED_TTFT,
    PACED_WORDS,
    QUESTION,
    Answer,
)
from benchmarks.paced_picture import Round, draw
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
RESULTS = Path(__file__).with_name("results")
REPLY = "paced.reply"  # the answer that the loop of ready bytes writes
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


def measure(server: Running, name: str, count: int) -> Round:
    """Measure one round of the server with this `name`."""
    before = machine.cpu_seconds(server.pid)
    streams = ask(server.port, count)
    cost = (machine.cpu_seconds(server.pid) - before) / (count * PACED_WORDS)
    drifts = sorted(drift for stream in streams for drift in stream.drifts)
    middle, high = (drifts[int(len(drifts) * share)] * 1e3 for share in (0.5, 0.99))
    load = os.getloadavg()[0]
    return Round(name, count, cost * 1e6, middle, high, drifts[-1] * 1e3, load)


def describe(one: Round) -> str:
    """Describe a round in a line of the table."""
    return (
        f"{one.cpu_us:8.1f} {one.drift_p50_ms:12.1f} {one.drift_p99_ms:12.1f} "
        f"{one.drift_max_ms:12.1f} {one.load:8.1f}"
    )


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


def compare(name: str, count: int, files: Files, cores: machine.Cores) -> Round | None:
    """Measure one server, and print a row; None if it cannot be measured."""
    title = f"{count:>8,} {name:8}"
    port = free_port()
    try:
        log, own = files.folder / f"{name}.log", frozenset({cores.server})
        with running(_command(name, port, files), port, own, log, timeout=MAX_START) as server:
            received = exchange.fetch(port, _REQUEST)
            exchange.check(received, Answer(text=PACED_TEXT, chunks=PACED_WORDS))
            if name == OURS:
                files.write(REPLY, received.raw)
            one = measure(server, name, count)
    except (CannotStartError, WrongAnswerError) as exc:
        show(f"{title} skipped: {exc}")
        return None
    show(f"{title} {describe(one)}")
    return one


def _command(name: str, port: int, files: Files) -> list[str]:
    """Return the command line of a server. The loop that writes ready bytes writes those that were
    received from this one."""
    if name == LIMIT:
        return paced.limit_command(port, files.folder / REPLY)
    config = files.config("one_paced")
    fixtures_beside(config).write_bytes(_paced_fixture())
    return CONTENDERS[name].command(LaunchOptions(port, config))


def main(arguments: list[str]) -> None:
    """Compare the servers, and write the results."""
    crowds = [*map(int, arguments)] or [*CROWDS]
    machine.allow_open_files(MAX_FILES)
    cores = machine.Cores.of_this_process()
    machine.use_core(cores.load)
    show(f"{1 / PACED_ITL:g} tokens a second; times in ms, CPU in µs for a token")
    show(" streams server        CPU    drift p50    drift p99    drift max     load")
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        files = Files(Path(folder))
        for count in crowds:
            for number in range(ROUNDS):
                others = (LIMIT, AIMOCK)[:: 1 if number % 2 == 0 else -1]
                for name in (OURS, *others):  # the limit needs an answer of this one
                    one = compare(name, count, files, cores)
                    rounds += [] if one is None else [one]
    if rounds:
        write(rounds, RESULTS)


def write(rounds: Sequence[Round], folder: Path) -> None:
    """Write all rounds, and the picture of them, to `folder`."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about = {"machine": machine.describe(), "measured": now, "tokens_per_second": 1 / PACED_ITL}
    results = about | {"rounds": [one._asdict() for one in rounds]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paced.json").write_text(f"{json.dumps(results, indent=1)}\n")
    where = machine.describe()
    caption = (
        f"{where['cpu']}, {where['cores']} cores, one for the server; {1 / PACED_ITL:g} tokens a "
        f"second of each stream; median of {ROUNDS} rounds, load up to "
        f"{max(one.load for one in rounds):.1f}; {now[:10]}"
    )
    (folder / "paced.svg").write_text(draw(rounds, caption))
    show(f"written: {folder / 'paced'}.json, {folder / 'paced'}.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
