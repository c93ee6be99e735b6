"""The metrics of ``GET /metrics`` but vLLM's: their names, their labels and their values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mockllm
from mockllm.engine.decision import End, Outcome
from mockllm.observers.lateness import BUCKETS, FINE, FINE_BUCKETS, Lateness, limit_of
from mockllm.observers.metric_cells import (
    ALIVE,
    API_WORDS,
    CONNECTIONS,
    DURATION,
    HITS,
    INPUT,
    ITL,
    LAG,
    LATE_SUM,
    MISSES,
    NANOSECONDS,
    OPERATIONS,
    OPERATIONS_AT,
    OUTPUT,
    RETRIES_AT,
    RUNNING,
    STALLS,
    STREAMS,
    TTFT,
    WAITING,
    Histogram,
)
from mockllm.observers.metric_sums import Requests, Sums, cumulative

Labels = dict[str, str]

_CONFIGURED = (Outcome.MOCK, Outcome.TRAFFIC, Outcome.ASKED_FOR)
FAULTS = {End.CLEAN: "ended_early", End.CUT: "cut", End.RESET: "reset", End.HANG: "hang"}
"""The faults that end an answer, by the end that it had."""
ERROR, CONTENT = "error", "content"
"""An error as the answer; a fault within an answer that was complete."""
_LATENESS = (
    *(FINE * n for n in (1, 2, 5, 10, 20, 50, FINE_BUCKETS)),
    *(limit_of(bucket) for bucket in range(FINE_BUCKETS + 2, BUCKETS - 1, 3)),
)
"""Some of the limits of the buckets of `Lateness`."""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric with its samples: their suffix, labels and value. `kind` is its type: ``counter``,
    ``gauge``, ``histogram`` or ``info``."""

    name: str
    help: str
    kind: str
    values: list[tuple[str, Labels, float]] = field(default_factory=list)

    def add(self, labels: Labels, value: float) -> None:
        """Add a value of a counter or a gauge."""
        self.values.append(("_total" if self.kind == "counter" else "", labels, value))

    def add_histogram(
        self, labels: Labels, bounds: Sequence[float], counts: Sequence[int], total: float
    ) -> None:
        """Add a histogram: the number of values up to each of the `bounds` and of all, and their
        sum."""
        for bound, count in zip((*bounds, math.inf), counts, strict=True):
            limit = "+Inf" if bound == math.inf else repr(float(bound))
            self.values.append(("_bucket", {**labels, "le": limit}, count))
        self.values.append(("_count", labels, counts[-1]))
        self.values.append(("_sum", labels, total))

    def samples(self) -> list[Any]:
        """Return the samples for prometheus_client."""
        from prometheus_client.samples import Sample

        return [Sample(self.name + suffix, labels, value) for suffix, labels, value in self.values]


def families(sums: Sums, lateness: Lateness) -> tuple[MetricFamily, ...]:
    """Return all metrics but vLLM's."""
    return (
        _info(),
        _requests(sums),
        *_of_models(sums),
        _late_steps(sums, lateness),
        *_of_requests(sums),
        *_of_processes(sums),
    )


def _info() -> MetricFamily:
    family = MetricFamily("mockllm_build", "The version of mockllm.", "info")
    family.values.append(("_info", {"version": mockllm.__version__}, 1))
    return family


def _requests(sums: Sums) -> MetricFamily:
    family = MetricFamily(
        "mockllm_requests",
        "Requests that were answered, by the API, the status, the source of the answer and the "
        "name of the mock: the first 1,000 names, then 'other'.",
        "counter",
    )
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for each, count in sums.requests.items():
        counts[each.api, each.status, each.outcome.value, each.mock] += count
    for values, count in counts.items():
        family.add(dict(zip(("api", "status", "outcome", "mock"), values, strict=True)), count)
    return family


_PER_MODEL: tuple[tuple[str, str, str, int], ...] = (
    ("mockllm_input_tokens", "Tokens of prompts that were answered.", "counter", INPUT),
    ("mockllm_output_tokens", "Tokens of answers, as far as they were sent.", "counter", OUTPUT),
    ("mockllm_open_streams", "Streams that are being sent.", "gauge", STREAMS),
    (
        "mockllm_running_answers",
        "Answers that are being sent and take time: streams, and others.",
        "gauge",
        RUNNING,
    ),
    (
        "mockllm_waiting_answers",
        "Answers in the queue of a pool: they wait for a place.",
        "gauge",
        WAITING,
    ),
)
_TIMES_PER_MODEL: tuple[tuple[str, str, Histogram], ...] = (
    (
        "mockllm_time_to_first_token_seconds",
        "Time from a complete request until the first token of its stream was sent.",
        TTFT,
    ),
    (
        "mockllm_inter_token_latency_seconds",
        "Time between two tokens of a paced stream, as they were sent.",
        ITL,
    ),
    (
        "mockllm_request_duration_seconds",
        "Time from a complete request until the end of the answer of a model.",
        DURATION,
    ),
)


def _of_models(sums: Sums) -> Iterable[MetricFamily]:
    for name, text, kind, cell in _PER_MODEL:
        family = MetricFamily(name, text, kind)
        for group in sums.groups:
            family.add({"api": group.api, "model": group.model}, group.cells[cell])
        yield family
    for name, text, histogram in _TIMES_PER_MODEL:
        family = MetricFamily(name, text, "histogram")
        for group in sums.groups:
            counts, total = cumulative(histogram, group.cells)
            labels = {"api": group.api, "model": group.model}
            family.add_histogram(labels, histogram.bounds, counts, total)
        yield family


def _late_steps(sums: Sums, lateness: Lateness) -> MetricFamily:
    family = MetricFamily(
        "mockllm_step_lateness_seconds",
        "Time by which steps of paced answers were sent later than they were due.",
        "histogram",
    )
    counts, steps = [], 0
    bounds = iter((*_LATENESS, math.inf))
    bound = next(bounds)
    for bucket, count in enumerate(lateness.counts):
        steps += count
        if math.isclose(limit_of(bucket), bound):
            counts.append(steps)
            bound = next(bounds, math.inf)
    total = sums.scalars[LATE_SUM] / NANOSECONDS
    family.add_histogram({}, _LATENESS, counts, total)
    return family


def _of_requests(sums: Sums) -> Iterable[MetricFamily]:
    faults = MetricFamily(
        "mockllm_faults",
        "Answers with a fault that was configured, by kind: an error, a fault in the content of a "
        "complete answer, or how it ended early.",
        "counter",
    )
    kinds = dict.fromkeys((ERROR, CONTENT, *FAULTS.values()), 0)
    for each, count in sums.requests.items():
        kind = fault_of(each)
        if kind is not None:
            kinds[kind] += count
    for kind, count in kinds.items():
        faults.add({"kind": kind}, count)
    yield faults
    yield _by_api(
        "mockllm_rate_limited",
        "Requests that were refused by a rate limit.",
        lambda each: each.outcome is Outcome.LIMITED,
        sums,
    )
    yield _by_api(
        "mockllm_client_disconnects",
        "Requests whose client left before the end of the answer.",
        lambda each: each.end is End.CLIENT_GONE,
        sums,
    )
    retries = MetricFamily(
        "mockllm_retries", "Requests that an SDK has marked as retries of another.", "counter"
    )
    for number, api in enumerate(API_WORDS):
        retries.add({"api": api}, sums.scalars[RETRIES_AT + number])
    yield retries


def _by_api(
    name: str, text: str, is_counted: Callable[[Requests], bool], sums: Sums
) -> MetricFamily:
    family = MetricFamily(name, text, "counter")
    counts = dict.fromkeys(API_WORDS, 0)
    for each, count in sums.requests.items():
        if is_counted(each):
            counts[each.api] += count
    for api, count in counts.items():
        family.add({"api": api}, count)
    return family


def fault_of(requests: Requests) -> str | None:
    """Return the kind of the fault of some requests; None if they had none."""
    if requests.end in FAULTS:
        return FAULTS[requests.end]
    if requests.outcome in _CONFIGURED and not requests.status.startswith(("1", "2", "3", "o")):
        return ERROR
    return CONTENT if requests.is_broken else None


_SCALARS = (
    (
        "mockllm_loop_stalls",
        "Times at which the loop was late by 10 ms or more.",
        "counter",
        STALLS,
    ),
    ("mockllm_match_cache_hits", "Requests whose match was known.", "counter", HITS),
    ("mockllm_match_cache_misses", "Requests whose match was not known.", "counter", MISSES),
    ("mockllm_connections", "Open connections.", "gauge", CONNECTIONS),
    ("mockllm_processes", "Processes that serve.", "gauge", ALIVE),
)


def _of_processes(sums: Sums) -> Iterable[MetricFamily]:
    operations = MetricFamily(
        "mockllm_store_operations", "Operations on the state of mocks and limits.", "counter"
    )
    for number, kind in enumerate(OPERATIONS):
        labels = {"operation": _snake(kind.__name__)}
        operations.add(labels, sums.scalars[OPERATIONS_AT + number])
    yield operations
    lag = MetricFamily(
        "mockllm_loop_lag_seconds",
        "Time by which the loop was late, looked at ten times a second.",
        "histogram",
    )
    counts, total = cumulative(LAG, sums.scalars)
    lag.add_histogram({}, LAG.bounds, counts, total)
    yield lag
    for name, text, kind_of_metric, cell in _SCALARS:
        family = MetricFamily(name, text, kind_of_metric)
        family.add({}, sums.scalars[cell])
        yield family


def _snake(name: str) -> str:
    """``TakeNothing`` as ``take_nothing``."""
    parts = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return parts.removeprefix("_")
