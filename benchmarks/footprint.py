"""Measures everything but CPU time: start-up, shutdown, memory, memory per idle connection and per
slow reader."""

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

NAME = "footprint"  # in `--only`

STARTS = 3  # the result is their median
MAX_EMBEDDED = 60.0  # seconds
ANSWERS = 1_000  # requests while there are slow readers; the result is the longest
TESTS = 500  # with and without the pytest plugin
ADDED = 1_000  # mocks, to a server that runs
STREAMS = 20  # in progress when a server is stopped
READ_AHEAD = 64 * 1024  # bytes of each stream that have arrived by then

_SMALL = LOADS["small"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity to measure: its name in `baseline.json`, its title, its unit: "s", "B", "x"
    for a ratio, or "%" for a fraction."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A line of the second table. `value` is None if the metric could not be measured; `why` is the
    reason."""

    metric: Metric
    value: float | None
    why: str = ""


START_ALL = Metric("start_both_sdks", "start-up, OpenAI and Anthropic mocks, not the first", "s")
START_MANY = Metric("start_many", f"start-up, {MANY:,} mocks", "s")
MEMORY_MANY = Metric("memory_many", f"memory, {MANY:,} mocks", "B")
MEMORY_WORKER = Metric("memory_worker", "memory of a third worker", "B")
MEMORY_SLOW = Metric("memory_slow", f"memory of {SLOW} slow readers of a 5 MB stream", "B")
BESIDE_SLOW = Metric("beside_slow", f"the longest of {ANSWERS:,} answers meanwhile", "s")
DRAIN = Metric("drain", f"SIGTERM to exit, {STREAMS} such streams read to their end", "s")
START_EMBEDDED = Metric("start_embedded", "AsyncServer.start, 100 mocks, SDKs imported", "s")


OF_TESTS = Metric("plugin_tests", f"CPU of the pytest plugin in {TESTS} tests", "s")
ADD_MANY = Metric("add_many", f"{ADDED:,} mocks added one by one", "s")


def of_server(server: str) -> tuple[Metric, Metric, Metric]:
    """The metrics of one server: start-up, memory, memory per idle connection."""
    title = CONTENDERS[server].title
    return (
        Metric(f"start_{server}", f"start-up, {title}", "s"),
        Metric(f"memory_{server}", f"memory, {title}", "B"),
        Metric(f"connection_{server}", f"memory of an idle connection, {title}", "B"),
    )


def measure(bench: Bench) -> list[Measurement]:
    """Measure start-up and memory of every server, then the metrics of this server alone."""
    measurements: list[Measurement] = []

    def add(metrics: Sequence[Metric], values: Callable[[], tuple[float, ...]]) -> None:
        bench.show_progress(metrics[0].title)
        try:
            found = values()
        except (CannotStartError, WrongAnswerError) as exc:
            measurements.extend(Measurement(each, None, str(exc)) for each in metrics)
        else:
            measurements.extend(map(Measurement, metrics, found))

    for server in CONTENDERS:
        if server in bench.plan.servers:
            add(of_server(server), partial(_of_server, bench, server))
    add((START_ALL,), lambda: (_start_again(bench, "one_of_each_sdk"),))
    add((START_EMBEDDED,), lambda: _printed_by("embedded", str(bench.files.config("hundred"))))
    add((OF_TESTS, ADD_MANY), lambda: _printed_by("suite"))
    add((MEMORY_WORKER,), lambda: (_memory(bench, 3) - _memory(bench, 2),))
    add((MEMORY_SLOW, BESIDE_SLOW), lambda: _slow_readers(bench))
    add((DRAIN,), lambda: (_drain(bench),))
    if bench.plan is FULL:
        add((START_MANY, MEMORY_MANY), lambda: _many(bench))
    return measurements


def _of_server(bench: Bench, server: str) -> tuple[float, float, float]:
    """Seconds to start, bytes after one answer, bytes per idle connection."""
    reply = _reply(bench) if server == LIMIT else None
    request = _SMALL.request.render(0)
    more = STARTS - 1 if bench.plan is FULL else 0
    starts = [_start(bench, _SMALL.config, server, reply) for _ in range(more)]
    with bench.started(server, _SMALL.config, reply=reply) as running:
        exchange.check(exchange.fetch(running.port, request), _SMALL.answer)
        before = machine.memory(running.pid)
        with exchange.idle_connections(running.port, request, IDLE):
            grown = machine.memory(running.pid) - before
    return statistics.median([*starts, running.start]), before, grown / IDLE


def _start(bench: Bench, config: str, server: str = OURS, reply: Path | None = None) -> float:
    with bench.started(server, config, reply=reply) as running:
        return running.start


def _start_again(bench: Bench, config: str) -> float:
    """Seconds of a start for which the one before has kept what it derived of the SDKs' types."""
    _start(bench, config)
    return _start(bench, config)


def _reply(bench: Bench) -> Path:
    with bench.started(OURS, _SMALL.config) as running:
        raw = exchange.fetch(running.port, _SMALL.request.render(0)).raw
    return bench.files.write("footprint.reply", raw)


def _memory(bench: Bench, workers: int) -> float:
    """Bytes of a server with several processes after each worker has answered."""
    with bench.started(OURS, _SMALL.config, workers=workers) as running:
        for _ in range(16 * workers):  # the kernel spreads them over the workers
            exchange.fetch(running.port, _SMALL.request.render(0))
        return machine.memory(running.pid)


def _slow_readers(bench: Bench) -> tuple[float, float]:
    """Growth in bytes of a server with slow readers, and the longest answer to other clients
    meanwhile, in seconds."""
    small, stream = _SMALL.request.render(0), LONG_STREAM.render(0)
    with bench.started(OURS, "one_and_long") as running:
        exchange.check(exchange.fetch(running.port, stream), LONG_ANSWER)
        before = machine.memory(running.pid)
        with exchange.slow_readers(running.port, stream, SLOW):
            longest = 0.0
            for _ in range(ANSWERS):
                started = time.perf_counter()
                exchange.check(exchange.fetch(running.port, small), _SMALL.answer)
                longest = max(longest, time.perf_counter() - started)
            return machine.memory(running.pid) - before, longest


def _drain(bench: Bench) -> float:
    """Seconds from SIGTERM to exit with streams in progress, all of which must be complete."""
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
        raise WrongAnswerError(f"the server did not exit with status 0: {ended}")
    return took


def _many(bench: Bench) -> tuple[float, float]:
    load = LOADS[f"mocks_{MANY}_last"]
    with bench.started(OURS, load.config) as running:
        exchange.check(exchange.fetch(running.port, load.request.render(0)), load.answer)
        return running.start, machine.memory(running.pid)


def _printed_by(module: str, *arguments: str) -> tuple[float, ...]:
    """Return the numbers that a module of the benchmarks prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # the command line is ours
            command, cwd=ROOT, capture_output=True, text=True, timeout=MAX_EMBEDDED, check=True
        )
    except subprocess.SubprocessError as exc:
        raise CannotStartError(f"python -m benchmarks.{module}: {exc}") from exc
    return tuple(map(float, done.stdout.split()))
