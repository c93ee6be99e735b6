"""What a server takes beside CPU time: time to start, memory, memory of an idle connection and of
a slow reader."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import exchange, machine
from benchmarks.exchange import WrongAnswerError
from benchmarks.loads import IDLE, LIMIT, LOADS, LONG_ANSWER, LONG_STREAM, MANY, OURS, SLOW
from benchmarks.measure import FULL, Bench
from benchmarks.servers import CONTENDERS, ROOT, CannotStartError

NAME = "footprint"  # as `--only` calls it

STARTS = 3  # of which the median counts
MAX_EMBEDDED = 60.0  # seconds
ANSWERS = 1_000  # beside slow readers, of which the longest counts
STREAMS = 20  # under way when a server is told to stop
READ_AHEAD = 64 * 1024  # bytes of each, which have come by then

_SMALL = LOADS["small"]


@dataclass(frozen=True, slots=True)
class Words:
    """What is measured: its name in `floors.json`, its title, its unit ("s" or "B")."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the second table. `value` is None where `why` tells what kept it from being
    measured."""

    words: Words
    value: float | None
    why: str = ""


START_ALL = Words("start_both_sdks", "start-up, OpenAI and Anthropic mocks", "s")
START_MANY = Words("start_many", f"start-up, {MANY:,} mocks", "s")
MEMORY_MANY = Words("memory_many", f"memory, {MANY:,} mocks", "B")
MEMORY_WORKER = Words("memory_worker", "memory of a third worker", "B")
MEMORY_SLOW = Words("memory_slow", f"memory of {SLOW} slow readers of a 5 MB stream", "B")
BESIDE_SLOW = Words("beside_slow", f"the longest of {ANSWERS:,} answers beside them", "s")
DRAIN = Words("drain", f"SIGTERM to exit, {STREAMS} such streams read to their end", "s")
START_EMBEDDED = Words("start_embedded", "AsyncServer.start, 100 mocks, SDKs imported", "s")


def of_server(server: str) -> tuple[Words, Words, Words]:
    """What is measured of every server."""
    title = CONTENDERS[server].title
    return (
        Words(f"start_{server}", f"start-up, {title}", "s"),
        Words(f"memory_{server}", f"memory, {title}", "B"),
        Words(f"connection_{server}", f"memory of an idle connection, {title}", "B"),
    )


def measure(bench: Bench) -> list[Measure]:
    """Start-up time and memory of every server, then what is told of ours only."""
    measures: list[Measure] = []

    def take(words: Sequence[Words], values: Callable[[], tuple[float, ...]]) -> None:
        bench.tell(words[0].title)
        try:
            found = values()
        except (CannotStartError, WrongAnswerError) as exc:
            measures.extend(Measure(each, None, str(exc)) for each in words)
        else:
            measures.extend(map(Measure, words, found))

    for server in CONTENDERS:
        if server in bench.plan.servers:
            take(of_server(server), partial(_of_server, bench, server))
    take((START_ALL,), lambda: (_start(bench, "one_of_each_sdk"),))
    take((START_EMBEDDED,), lambda: (_embedded(bench.files.config("hundred")),))
    take((MEMORY_WORKER,), lambda: (_memory(bench, 3) - _memory(bench, 2),))
    take((MEMORY_SLOW, BESIDE_SLOW), lambda: _slow_readers(bench))
    take((DRAIN,), lambda: (_drain(bench),))
    if bench.plan is FULL:
        take((START_MANY, MEMORY_MANY), lambda: _many(bench))
    return measures


def _of_server(bench: Bench, server: str) -> tuple[float, float, float]:
    """Seconds to start, bytes after one answer, bytes of each idle connection."""
    reply = _reply(bench) if server == LIMIT else None
    request = _SMALL.request.render(0)
    more = STARTS - 1 if bench.plan is FULL else 0
    starts = [_start(bench, _SMALL.config, server, reply) for _ in range(more)]
    with bench.started(server, _SMALL.config, reply=reply) as running:
        exchange.check(exchange.ask(running.port, request), _SMALL.answer)
        before = machine.memory(running.pid)
        with exchange.idle_connections(running.port, request, IDLE):
            grown = machine.memory(running.pid) - before
    return statistics.median([*starts, running.start]), before, grown / IDLE


def _start(bench: Bench, config: str, server: str = OURS, reply: Path | None = None) -> float:
    with bench.started(server, config, reply=reply) as running:
        return running.start


def _reply(bench: Bench) -> Path:
    with bench.started(OURS, _SMALL.config) as running:
        raw = exchange.ask(running.port, _SMALL.request.render(0)).raw
    return bench.files.keep("footprint.reply", raw)


def _memory(bench: Bench, workers: int) -> float:
    """Bytes of a server of several processes; each worker has answered."""
    with bench.started(OURS, _SMALL.config, workers=workers) as running:
        for _ in range(16 * workers):  # the kernel spreads them
            exchange.ask(running.port, _SMALL.request.render(0))
        return machine.memory(running.pid)


def _slow_readers(bench: Bench) -> tuple[float, float]:
    """Bytes that a server grows by while it has slow readers, and seconds of an answer to somebody
    else meanwhile."""
    small, stream = _SMALL.request.render(0), LONG_STREAM.render(0)
    with bench.started(OURS, "one_and_long") as running:
        exchange.check(exchange.ask(running.port, stream), LONG_ANSWER)
        before = machine.memory(running.pid)
        with exchange.slow_readers(running.port, stream, SLOW):
            longest = 0.0
            for _ in range(ANSWERS):
                started = time.perf_counter()
                exchange.check(exchange.ask(running.port, small), _SMALL.answer)
                longest = max(longest, time.perf_counter() - started)
            return machine.memory(running.pid) - before, longest


def _drain(bench: Bench) -> float:
    """Seconds that a server takes to stop while streams are under way. None of them is cut."""
    with (
        bench.started(OURS, "one_and_long") as running,
        exchange.slow_readers(
            running.port, LONG_STREAM.render(0), STREAMS, buffer=READ_AHEAD
        ) as readers,
    ):
        started = time.perf_counter()
        os.kill(running.pid, signal.SIGTERM)
        for reader in readers:
            exchange.read_stream_to_end(reader)
        ended = os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        took = time.perf_counter() - started
    if ended is None or ended.si_status:
        raise WrongAnswerError(f"the server did not end well: {ended}")
    return took


def _many(bench: Bench) -> tuple[float, float]:
    load = LOADS[f"mocks_{MANY}_last"]
    with bench.started(OURS, load.config) as running:
        exchange.check(exchange.ask(running.port, load.request.render(0)), load.answer)
        return running.start, machine.memory(running.pid)


def _embedded(config: Path) -> float:
    try:
        done = subprocess.run(  # noqa: S603  # the command line is ours
            [sys.executable, "-m", "benchmarks.embedded", str(config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=MAX_EMBEDDED,
            check=True,
        )
    except subprocess.SubprocessError as exc:
        raise CannotStartError(f"python -m benchmarks.embedded: {exc}") from exc
    return float(done.stdout)
