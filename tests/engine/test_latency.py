"""Latencies, compiled and reviewed."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, Latency
from mockllm.config.latency import PRESETS, read_latency
from mockllm.engine.latency import compile_latency, review_latencies
from mockllm.engine.pace import Pace
from mockllm.exchange import Pacing, PoolRule
from mockllm.providers.failures import Failure


def test_a_latency_is_compiled_with_all_its_parts() -> None:
    latency = Latency(
        ttft="350ms", tps=50, ttft_per_token="1ms", jitter=0.3, concurrency=4, queue=2, slowdown=3
    )

    assert compile_latency(latency, "here") == Pace(
        Pacing(PoolRule("here", 4, 2, 3.0), 0.35, 0.02, 0.3), 0.001, Failure("overloaded")
    )


def test_a_pool_may_have_a_name() -> None:
    pace = compile_latency(Latency(ttft=1, pool="gpu", concurrency=1, shared=True), "here")

    assert pace is not None
    assert pace.pacing.pool == PoolRule("gpu", 1, shared=True)
    assert pace.full is None  # the queue has no end


@pytest.mark.parametrize("latency", [None, "instant", {}, {"ttft": 0, "itl": "0ms"}, {"jitter": 1}])
def test_what_takes_no_time_costs_nothing(latency: Any) -> None:
    assert compile_latency(None if latency is None else read_latency(latency), "here") is None


def test_the_preset_of_a_measured_service_has_its_numbers() -> None:
    pace = compile_latency(read_latency("vllm-70b"), "here")

    assert pace is not None
    assert pace.pacing.pool == PoolRule("here", 86, None, 5.0)
    times = (pace.pacing.ttft, pace.pacing.itl, pace.per_token)
    assert times == pytest.approx((0.008, 0.0186, 0.00008))


@pytest.mark.parametrize("preset", set(PRESETS) - {"instant"})
def test_every_other_preset_takes_time(preset: str) -> None:
    assert compile_latency(read_latency(preset), "here") is not None


def problems(**config: Any) -> list[str]:
    mocks = [{"reply": "a", "latency": latency} for latency in config.pop("mocks", ())]
    return [str(each) for each in review_latencies(Config.from_dict({"mocks": mocks, **config}))]


def test_milliseconds_without_a_unit_are_a_warning_with_their_place() -> None:
    assert problems(mocks=["vllm-8b", {"ttft": 350}], latency={"itl": 20}) == [
        'latency.itl: 20 seconds: write "20ms" if milliseconds are meant, else "20s"',
        'mocks[1]: latency.ttft: 350 seconds: write "350ms" if milliseconds are meant, else "350s"',
    ]


def test_a_jitter_of_no_time_is_a_warning() -> None:
    assert problems(mocks=[{"jitter": 0.3, "itl": "1ms"}, {"jitter": 0, "ttft": 0}]) == []
    assert problems(latency={"jitter": 0.3, "concurrency": 2}) == [
        "latency.jitter: no time varies: write 'ttft', 'itl' or 'ttft_per_token' beside it"
    ]


def test_a_pool_has_the_same_numbers_wherever_it_is_written() -> None:
    gpu = {"ttft": 1, "pool": "gpu", "concurrency": 4}

    assert problems(mocks=[gpu, gpu | {"ttft": 2}]) == []
    (found,) = problems(mocks=[gpu | {"concurrency": 5}], latency=gpu)
    assert found == (
        "mocks[0]: latency.pool: the pool 'gpu' has other numbers in the file: write "
        "the same "
        "'concurrency', 'queue', 'slowdown' and 'shared', or another name"
    )


def test_the_places_of_entries_are_reported() -> None:
    sequence = ["a", {"reply": "b", "latency": {"ttft": 350}}]
    config = Config.from_dict({"openai": [{"sequence": sequence}]})

    (problem,) = review_latencies(config)

    assert str(problem).startswith("openai[0]: sequence[1].latency.ttft: 350 seconds")
