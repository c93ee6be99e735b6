"""The metrics of vLLM, for what was made to read them: autoscalers, gateways, dashboards.

Names, labels and buckets are those of ``vllm/v1/metrics/loggers.py`` (0.11); ``model_name`` is the
model that the request names. What a mock has nothing of is absent: preemptions, iterations, LoRA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mockllm.endpoints.metric_families import Labels, MetricFamily
from mockllm.observers.metric_cells import (
    ABORTED,
    DURATION,
    INPUT,
    INPUT_SIZE,
    ITL,
    OUTPUT,
    OUTPUT_SIZE,
    PLACES,
    QUEUE_TIME,
    RUNNING,
    SERVICE_BOUNDS,
    STOPPED,
    TAKEN,
    TRUNCATED,
    TTFT,
    WAITING,
    Histogram,
)
from mockllm.observers.metric_sums import Sums, cumulative

_TOKEN_TIMES = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)


class _Values(NamedTuple):
    name: str
    help: str
    kind: str
    cell: int


class _Distribution(NamedTuple):
    name: str
    help: str
    histogram: Histogram
    bounds: Sequence[float]


_VALUES = (
    _Values(
        "vllm:num_requests_running",
        "Number of requests in model execution batches.",
        "gauge",
        RUNNING,
    ),
    _Values(
        "vllm:num_requests_waiting",
        "Number of requests waiting to be processed.",
        "gauge",
        WAITING,
    ),
    _Values("vllm:prompt_tokens", "Number of prefill tokens processed.", "counter", INPUT),
    _Values("vllm:generation_tokens", "Number of generation tokens processed.", "counter", OUTPUT),
)
_DISTRIBUTIONS = (
    _Distribution(
        "vllm:time_to_first_token_seconds",
        "Histogram of time to first token in seconds.",
        TTFT,
        TTFT.bounds,
    ),
    _Distribution(
        "vllm:inter_token_latency_seconds",
        "Histogram of inter-token latency in seconds.",
        ITL,
        _TOKEN_TIMES,
    ),
    _Distribution(
        "vllm:time_per_output_token_seconds",
        "Histogram of time per output token in seconds. The older name of "
        "vllm:inter_token_latency_seconds.",
        ITL,
        _TOKEN_TIMES,
    ),
    _Distribution(
        "vllm:e2e_request_latency_seconds",
        "Histogram of e2e request latency in seconds.",
        DURATION,
        SERVICE_BOUNDS,
    ),
    _Distribution(
        "vllm:request_queue_time_seconds",
        "Histogram of time spent in WAITING phase for request.",
        QUEUE_TIME,
        SERVICE_BOUNDS,
    ),
    _Distribution(
        "vllm:request_prompt_tokens",
        "Number of prefill tokens processed.",
        INPUT_SIZE,
        INPUT_SIZE.bounds,
    ),
    _Distribution(
        "vllm:request_generation_tokens",
        "Number of generation tokens processed.",
        OUTPUT_SIZE,
        OUTPUT_SIZE.bounds,
    ),
)
_REASONS = {"stop": STOPPED, "length": TRUNCATED, "abort": ABORTED}


def vllm_families(sums: Sums) -> Iterable[MetricFamily]:
    """Yield the metrics of vLLM. A model that several APIs were asked for has one value."""
    models = _by_model(sums)
    for values in _VALUES:
        family = MetricFamily(values.name, values.help, values.kind)
        for model, cells in models.items():
            family.add(_labels(model), cells[values.cell])
        yield family
    yield _usage(sums, models)
    success = MetricFamily(
        "vllm:request_success", "Count of successfully processed requests.", "counter"
    )
    for model, cells in models.items():
        for reason, cell in _REASONS.items():
            success.add({**_labels(model), "finished_reason": reason}, cells[cell])
    yield success
    for each in _DISTRIBUTIONS:
        family = MetricFamily(each.name, each.help, "histogram")
        for model, cells in models.items():
            counts, total = cumulative(each.histogram, cells)
            known = dict(zip(each.histogram.bounds, counts, strict=False))
            chosen = [*(known[bound] for bound in each.bounds), counts[-1]]
            family.add_histogram(_labels(model), each.bounds, chosen, total)
        yield family


def _usage(sums: Sums, models: Iterable[str]) -> MetricFamily:
    """Return the share of the places of pools that are taken: what is scarce in a mock server."""
    family = MetricFamily(
        "vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", "gauge"
    )
    places = sums.scalars[PLACES]
    usage = sums.scalars[TAKEN] / places if places else 0.0
    for model in models:
        family.add(_labels(model), usage)
    return family


def _by_model(sums: Sums) -> dict[str, Sequence[int]]:
    models: dict[str, Sequence[int]] = {}
    for group in sums.groups:
        known = models.get(group.model, [0] * len(group.cells))
        models[group.model] = [a + b for a, b in zip(known, group.cells, strict=True)]
    return models


def _labels(model: str) -> Labels:
    return {"model_name": model, "engine": "0"}
