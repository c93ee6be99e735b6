"""Measures loads: starts the servers, checks their answers, alternates rounds, takes medians.

There is no figure without a checked answer: if anything is wrong, the row has the reason instead.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import exchange, h2load, machine, wrk
from benchmarks.exchange import WrongAnswerError
from benchmarks.loads import LIMIT, OURS, Load
from benchmarks.machine import Cores
from benchmarks.outcome import LoadError, Outcome
from benchmarks.servers import (
    CONTENDERS,
    MAX_START,
    CannotStartError,
    Files,
    LaunchOptions,
    Running,
    free_port,
    redis_command,
    running,
)

MICROSECONDS = 1_000_000

ShowProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Duration and number of the rounds, and the servers to measure. `seconds` is the duration of
    one run of the load generator.

    Many short rounds are better than few long ones, because other activity on the machine varies:
    the median of five ignores two bad rounds, one of which may be the first, with cold caches.
    """

    seconds: int
    rounds: int
    longest: float  # seconds; what has not been measured by then is skipped
    servers: frozenset[str]


QUICK = Plan(1, 2, 290.0, frozenset({LIMIT, OURS}))
FULL = Plan(1, 5, 1190.0, frozenset(CONTENDERS))


@dataclass(frozen=True, slots=True)
class Figure:
    """The result of one load on one server: CPU time per request, requests per second, latency."""

    cpu_us: float
    rate: float
    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the median of `rounds`, or the reason (`why`) there is none."""

    load: str
    server: str
    rounds: tuple[Figure, ...] = ()
    why: str = ""

    @property
    def figure(self) -> Figure | None:
        """The median of each member; None without rounds."""
        if self.why or not self.rounds:
            return None
        return Figure(
            statistics.median(one.cpu_us for one in self.rounds),
            statistics.median(one.rate for one in self.rounds),
            statistics.median(one.p50_us for one in self.rounds),
            statistics.median(one.p99_us for one in self.rounds),
        )


class Bench:
    """The environment of all measurements: plan, cores, files, remaining time."""

    def __init__(self, plan: Plan, cores: Cores, folder: Path, show_progress: ShowProgress) -> None:
        self.plan = plan
        self.cores = cores
        self.files = Files(folder)
        self.show_progress = show_progress
        self._deadline = time.monotonic() + plan.longest
        self._runs = 0

    @property
    def seconds_left(self) -> float:
        """The remaining time; negative once it is over."""
        return self._deadline - time.monotonic()

    @contextlib.contextmanager
    def started(
        self,
        server: str,
        config: str,
        *,
        workers: int = 1,
        reply: Path | None = None,
        in_redis: bool = False,
    ) -> Iterator[Running]:
        """Start a server, with its state in a Redis of its own if that is wanted, and wait until it
        accepts connections.

        Raises:
            CannotStartError: it does not run here, or there is no time left.
        """
        if self.seconds_left <= 0:
            raise CannotStartError("no time left")
        with contextlib.ExitStack() as stack:
            state = stack.enter_context(self._redis()) if in_redis else ""
            options = LaunchOptions(free_port(), self.files.config(config), workers, reply, state)
            command = CONTENDERS[server].command(options)
            yield stack.enter_context(self.started_as(command, options.port, workers=workers))

    @contextlib.contextmanager
    def _redis(self) -> Iterator[str]:
        """Start a Redis. Yields its URL.

        Raises:
            CannotStartError: it is not installed, or does not run here.
        """
        port = free_port()
        with self.started_as(redis_command(port), port):
            yield f"redis://127.0.0.1:{port}/0"

    @contextlib.contextmanager
    def started_as(self, command: list[str], port: int, *, workers: int = 1) -> Iterator[Running]:
        """Start a server by its command line and wait until it accepts connections on `port`.

        Raises:
            CannotStartError: it does not run here.
        """
        cores = self.cores.for_workers(workers)
        log = self.files.folder / f"{port}.log"
        timeout = max(min(MAX_START, self.seconds_left), 0.0)
        with running(command, port, cores, log, timeout=timeout) as server_running:
            yield server_running

    def run_load(self, server: Running, load: Load, seconds: int) -> Figure:
        """Run the load generator once.

        Raises:
            WrongAnswerError: an answer had another status than the load expects.
            LoadError: the load generator failed.
        """
        before = machine.cpu_seconds(server.pid)
        outcome = self._generate(server.port, load, seconds)
        used = machine.cpu_seconds(server.pid) - before
        check_outcome(outcome, load)
        return Figure(
            used * MICROSECONDS / outcome.requests,
            outcome.requests * MICROSECONDS / outcome.microseconds,
            outcome.p50,
            outcome.p99,
        )

    def _generate(self, port: int, load: Load, seconds: int) -> Outcome:
        if load.from_h2load:
            return h2load.run(port, load.request, self.files.folder, seconds=seconds)
        self._runs += 1
        script = self.files.write(f"{load.name}.lua", wrk.script(load.request).encode())
        return wrk.run(port, script, seconds=seconds, first=self._runs * MICROSECONDS)


@dataclass(slots=True)
class _Cell:
    """One load on one server, in the course of its measurement."""

    load: Load
    server: str
    running: Running | None = None
    rounds: list[Figure] = field(default_factory=list)
    why: str = ""

    def row(self) -> Row:
        return Row(self.load.name, self.server, tuple(self.rounds), self.why)


def measure(bench: Bench, loads: Sequence[Load]) -> list[Row]:
    """Measure loads in the same rounds. Returns a row for each load and server."""
    cells = [
        _Cell(load, server)
        for load in loads
        for server in load.servers
        if server in bench.plan.servers
    ]
    with contextlib.ExitStack() as stack:
        _start(bench, stack, cells)
        for _ in range(bench.plan.rounds):
            for cell in cells:
                _one_round(bench, cell)
    return [cell.row() for cell in cells]


def check_outcome(outcome: Outcome, load: Load) -> None:
    """Check the counts of a run.

    Raises:
        WrongAnswerError: an answer had another status than `load` expects, or was missing.
    """
    expects_refusal = load.answer.status >= 400
    wrong = outcome.requests - outcome.refused if expects_refusal else outcome.refused
    if outcome.broken:
        raise WrongAnswerError(f"{outcome.broken} socket errors or timeouts")
    if wrong:
        raise WrongAnswerError(f"{wrong} of {outcome.requests} answers with a wrong status")
    if not outcome.requests:
        raise WrongAnswerError("no request was answered")


def _start(bench: Bench, stack: contextlib.ExitStack, cells: Iterable[_Cell]) -> None:
    """Start the servers of all cells, one for each configuration, and check their answers. Those of
    mockllm are started first, because the limit repeats their answers."""
    servers: dict[tuple[str, str, int, int, bool], Running] = {}
    replies: dict[str, Path] = {}
    for cell in sorted(cells, key=lambda cell: cell.server != OURS):
        load = cell.load
        bench.show_progress(f"{load.title}: starting {cell.server}")
        key = (cell.server, load.config, load.workers, load.idle, load.in_redis)
        try:
            if cell.server == LIMIT or key not in servers:
                reply = replies.get(load.name)
                started = bench.started(
                    cell.server,
                    load.config,
                    workers=load.workers,
                    reply=reply,
                    in_redis=load.in_redis,
                )
                servers[key] = stack.enter_context(started)
            cell.running = servers[key]
            received = exchange.fetch(cell.running.port, load.request.render(0))
            exchange.check(received, load.answer)
            if cell.server == OURS:
                replies[load.name] = bench.files.write(f"{load.name}.reply", received.raw)
            stack.enter_context(
                exchange.idle_connections(cell.running.port, load.request.render(0), load.idle)
            )
        except (CannotStartError, WrongAnswerError) as exc:
            cell.why = str(exc)


def _one_round(bench: Bench, cell: _Cell) -> None:
    if cell.running is None or cell.why:
        return
    if bench.seconds_left <= 0:
        cell.why = "" if cell.rounds else "no time left"
        return
    bench.show_progress(f"{cell.load.title}: {cell.server}")
    try:
        cell.rounds.append(bench.run_load(cell.running, cell.load, bench.plan.seconds))
    except (WrongAnswerError, LoadError) as exc:
        cell.why = str(exc)
