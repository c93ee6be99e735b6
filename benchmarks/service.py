"""Measures whether the preset `vllm-70b` behaves like the service that it imitates, with clients
that each send the next request when they have the answer to the last one.

The metrics are how far the mean times that the clients meet are from those of the service: Llama
3.3 70B on two H100 (fp8, tensor parallelism 2), 5,000 tokens in and 500 out, from NVIDIA's NIM
benchmarking documentation. The same is simulated in `tests/serve/test_clock.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from benchmarks.exchange import WrongAnswerError
from benchmarks.footprint import Measurement, Metric
from benchmarks.loads import LONG_PROMPT, OURS, SERVICE_TOKENS
from benchmarks.measure import Bench
from benchmarks.servers import CannotStartError

NAME = "service"  # in `--only`

ROUNDS = 4  # requests of each client
RAMP = 0.3  # seconds between the beginnings of two clients
TIMEOUT = 120.0  # seconds without a byte

_END = b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the service did with so many clients: the mean times to the first token and between
    tokens, in seconds."""

    clients: int
    ttft: float
    itl: float


SERVICE = (Measured(1, 0.407, 0.0186), Measured(25, 0.689, 0.0388), Measured(100, 7.996, 0.0929))


def metrics_of(measured: Measured) -> tuple[Metric, Metric]:
    """The metrics of one number of clients."""
    clients = measured.clients
    return (
        Metric(f"service_{clients}_ttft", f"TTFT of {clients} clients, off the service's", "%"),
        Metric(f"service_{clients}_itl", f"ITL of {clients} clients, off the service's", "%"),
    )


def measure(bench: Bench) -> list[Measurement]:
    """Measure each number of clients."""
    return [measurement for measured in SERVICE for measurement in _measure(bench, measured)]


def _measure(bench: Bench, measured: Measured) -> Iterator[Measurement]:
    clients = measured.clients
    metrics = metrics_of(measured)
    bench.show_progress(metrics[0].title)
    try:
        with bench.started(OURS, "service") as running:
            found = asyncio.run(_closed_loop(running.port, clients))
    except (CannotStartError, WrongAnswerError) as exc:
        yield from (Measurement(metric, None, str(exc)) for metric in metrics)
    else:
        steady = found[clients : -clients or None]  # without those that begin and end alone
        ttft, itl = fmean(each.ttft for each in steady), fmean(each.itl for each in steady)
        yield Measurement(metrics[0], abs(ttft / measured.ttft - 1))
        yield Measurement(metrics[1], abs(itl / measured.itl - 1))


@dataclass(frozen=True, slots=True)
class _Answer:
    """The times of one answer."""

    ttft: float
    itl: float


async def _closed_loop(port: int, clients: int) -> list[_Answer]:
    """The answers to all clients, in the order of their ends."""
    done: list[_Answer] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(number * RAMP)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for turn in range(ROUNDS):
                writer.write(LONG_PROMPT.render(number * ROUNDS + turn))
                done.append(await _read(reader, time.perf_counter()))
        finally:
            writer.close()

    await asyncio.gather(*map(ask, range(clients)))
    return done


async def _read(reader: asyncio.StreamReader, asked: float) -> _Answer:
    """Read one answer to its end.

    Raises:
        WrongAnswerError: it has another number of tokens, or ended early.
    """
    first = last = 0.0
    tokens = 0
    line = b""
    while not line.startswith(_END):
        line = await asyncio.wait_for(reader.readline(), TIMEOUT)
        if not line:
            raise WrongAnswerError("a stream ended early")
        if b'"content":"' in line and b'"content":""' not in line:
            last = time.perf_counter()
            first = first or last
            tokens += 1
    if tokens != SERVICE_TOKENS:
        raise WrongAnswerError(f"{tokens} tokens instead of {SERVICE_TOKENS}")
    while await asyncio.wait_for(reader.readline(), TIMEOUT) != b"0\r\n":
        pass
    await asyncio.wait_for(reader.readline(), TIMEOUT)
    return _Answer(first - asked, (last - first) / (tokens - 1))
