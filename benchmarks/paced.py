"""Measures paced streams: what a step costs, how late it is, the memory of an open stream, and for
how long many that begin at once hold the loop.

The cost is compared in the same rounds with that of a loop that writes ready bytes on the same
schedule (`servers.paced_limit`). The lateness is the server's own figure, of `GET /health`.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import exchange, machine
from benchmarks.exchange import Streams, WrongAnswerError
from benchmarks.footprint import Measurement, Metric
from benchmarks.loads import (
    LOADS,
    OURS,
    PACED,
    PACED_ITL,
    PACED_TEXT,
    PACED_TTFT,
    PACED_WORDS,
    SLOW_ITL,
    Answer,
)
from benchmarks.measure import FULL, Bench
from benchmarks.servers import CannotStartError, Running, free_port

NAME = "paced_stream"  # in `--only`

SPREAD = 1.0  # seconds in which the streams begin

CPU = Metric("paced_cpu", f"CPU of a step, {PACED:,} paced streams, of that of a bare loop", "x")
LATE = Metric(
    "paced_late",
    f"99 of 100 steps late by at most, {PACED} streams, {1 / PACED_ITL:g} tokens/s",
    "s",
)
BURST = 100  # requests that are there when the loop looks
BURSTS = 20  # the result is their median
ARRIVALS = Metric("paced_arrivals", f"{BURST} streams that begin at once hold the loop for", "s")
MEMORY = Metric("paced_memory", "memory of an open paced stream, beside its connection", "B")


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many streams at once, of a configuration. Its metric is by how much 99 of 100 of their
    steps are late at most."""

    config: str
    count: int
    tokens: float  # per second, of each stream

    @property
    def metric(self) -> Metric:
        """The metric of the crowd."""
        title = f"99 of 100 steps late by at most, {self.count:,} streams, {self.tokens:g} tokens/s"
        return Metric(f"paced_late_{self.count}", title, "s")


CROWDS = (
    Crowd("one_paced", 2_000, 1 / PACED_ITL),
    Crowd("one_paced_slowly", 10_000, 1 / SLOW_ITL),
)
MAX_FILES = 11_000  # of each process
IN_MEMORY = 2_000  # streams: a step of the allocator, 1 MB, is half a kB of each

_REQUEST = LOADS["stream"].request.render(0)
_ANSWER = Answer(text=PACED_TEXT, chunks=PACED_WORDS)


def measure(bench: Bench) -> list[Measurement]:
    """Measure all metrics of paced streams."""
    bench.show_progress(CPU.title)
    metrics = (CPU, LATE, MEMORY, ARRIVALS)
    try:
        measurements = [*map(Measurement, metrics, _measure(bench))]
    except (CannotStartError, WrongAnswerError) as exc:
        measurements = [Measurement(metric, None, str(exc)) for metric in metrics]
    if bench.plan is FULL:
        measurements += [_late(bench, crowd) for crowd in CROWDS]
    return measurements


def _late(bench: Bench, crowd: Crowd) -> Measurement:
    bench.show_progress(crowd.metric.title)
    if not machine.allow_open_files(MAX_FILES):
        return Measurement(crowd.metric, None, f"the limit on open files is below {MAX_FILES:,}")
    try:
        with (
            bench.started(OURS, crowd.config) as ours,
            Streams(ours.port, _REQUEST, crowd.count, spread=SPREAD) as streams,
        ):
            streams.ask()
            streams.read()
            late = exchange.read_late(ours.port)
    except (CannotStartError, WrongAnswerError) as exc:
        return Measurement(crowd.metric, None, str(exc))
    return Measurement(crowd.metric, late)


def _measure(bench: Bench) -> tuple[float, float, float, float]:
    with bench.started(OURS, "one_paced") as ours:
        received = exchange.fetch(ours.port, _REQUEST)
        exchange.check(received, _ANSWER)
        memory = _memory(ours)  # to look at it holds the server up, so it is not measured again
        arrivals = statistics.median(_arrivals(ours) for _ in range(BURSTS))
    port = free_port()
    command = limit_command(port, bench.files.write("paced.reply", received.raw))
    with (
        bench.started(OURS, "one_paced") as ours,
        bench.started_as(command, port) as limit,
    ):
        costs: dict[int, list[float]] = {ours.pid: [], limit.pid: []}
        for _ in range(3 if bench.plan is FULL else 2):
            for server in (ours, limit):
                costs[server.pid].append(_cost(server))
        late = exchange.read_late(ours.port)
    ratio = statistics.median(costs[ours.pid]) / statistics.median(costs[limit.pid])
    return ratio, late, memory, arrivals


def limit_command(port: int, reply: Path) -> list[str]:
    """Return the command line of the loop that writes the bytes in `reply`."""
    times = (str(PACED_TTFT), str(PACED_ITL))
    return [sys.executable, "-m", "benchmarks.servers.paced_limit", str(port), str(reply), *times]


def _cost(server: Running) -> float:
    """Seconds of CPU that all streams cost."""
    with Streams(server.port, _REQUEST, PACED, spread=SPREAD) as streams:
        before = machine.cpu_seconds(server.pid)
        streams.ask()
        streams.read()
        return machine.cpu_seconds(server.pid) - before


def _memory(server: Running) -> float:
    """Bytes by which the server grows for each open stream."""
    with Streams(server.port, _REQUEST, IN_MEMORY, spread=SPREAD) as streams:
        exchange.fetch(
            server.port, exchange.HEALTH
        )  # then it has accepted the connections before this one
        before = machine.memory(server.pid)
        streams.ask()
        grown = machine.memory(server.pid) - before
        streams.read()
        return grown / IN_MEMORY


def _arrivals(server: Running) -> float:
    """Seconds for which the loop works on requests that arrive at once: while it stands still. It
    has no other work until their first tokens are due."""
    with Streams(server.port, _REQUEST, BURST, spread=0.0) as streams:
        time.sleep(PACED_TTFT / 2)  # the connections are accepted
        os.kill(server.pid, signal.SIGSTOP)
        try:
            streams.ask()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        before = machine.loop_seconds(server.pid)
        time.sleep(PACED_TTFT / 2)
        worked = machine.loop_seconds(server.pid) - before
        streams.read()
        return worked
