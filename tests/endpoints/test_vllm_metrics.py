"""The names, labels and buckets of vLLM."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.engine.decision import End
from mockllm.engine.limiting import ALL
from mockllm.observers.measured import Measured
from mockllm.observers.metric_cells import PLACES, TAKEN
from tests.support.metrics import MeteredApp
from tests.support.observed import PATHS, request
from tests.support.served import chat_request, responses_request

CONFIG: dict[str, Any] = {
    "mocks": [
        {"match": {"user": "hi"}, "reply": {"text": "ok", "usage": {"input": 30, "output": 20}}},
        {"match": {"user": "long"}, "reply": {"text": "ok", "finish": "length"}},
    ]
}
MODEL = {"model_name": "mock-model", "engine": "0"}


def metered(*texts: str) -> MeteredApp:
    app = MeteredApp(CONFIG, vllm=True)
    for text in texts:
        app.ask(request(PATHS["chat"], chat_request(text)))
    return app


def test_they_are_there_if_they_are_asked_for() -> None:
    without = MeteredApp(CONFIG)
    without.ask(request(PATHS["chat"], chat_request("hi")))

    assert not [name for name in without.scrape().families if name.startswith("vllm:")]
    assert {name for name in metered("hi").scrape().families if name.startswith("vllm:")} == {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens",
        "vllm:generation_tokens",
        "vllm:request_success",
        "vllm:time_to_first_token_seconds",
        "vllm:inter_token_latency_seconds",
        "vllm:time_per_output_token_seconds",
        "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds",
        "vllm:request_prompt_tokens",
        "vllm:request_generation_tokens",
    }


def test_all_samples_have_the_model_and_the_engine() -> None:
    for family in metered("hi").scrape().families.values():
        for sample in family.samples:
            if family.name.startswith("vllm:"):
                assert sample.labels.items() >= MODEL.items()


def test_tokens_are_counted_over_all_apis() -> None:
    app = metered("hi", "hi", "hi")
    app.ask(request(PATHS["responses"], responses_request("hi")))
    scraped = app.scrape()

    assert scraped.value("vllm:prompt_tokens_total", **MODEL) == 120
    assert scraped.value("vllm:generation_tokens_total", **MODEL) == 80
    assert scraped.value("vllm:request_prompt_tokens_sum", **MODEL) == 120
    name = "vllm:request_generation_tokens_bucket"
    assert scraped.value(name, le="10.0", **MODEL) == 0
    assert scraped.value(name, le="20.0", **MODEL) == 4


def test_requests_succeed_by_reason() -> None:
    app = metered("hi", "long", "long")
    asked = request(PATHS["chat"], chat_request("hi", stream=True))
    measured = Measured(app.meter, asked, app.app.decide(asked).match, is_stream=True)
    measured.end(200, End.CLIENT_GONE, 0.1, 0.2, ALL)
    scraped = app.scrape()

    name = "vllm:request_success_total"
    found = {labels["finished_reason"]: value for labels, value in scraped.samples(name)}
    assert found == {"stop": 1, "length": 2, "abort": 1}


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        (
            "vllm:time_to_first_token_seconds",
            (
                "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 "
                "40.0 80.0 160.0 640.0 2560.0 +Inf"
            ),
        ),
        (
            "vllm:inter_token_latency_seconds",
            (
                "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 "
                "40.0 80.0 +Inf"
            ),
        ),
        (
            "vllm:e2e_request_latency_seconds",
            (
                "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 "
                "480.0 960.0 1920.0 7680.0 +Inf"
            ),
        ),
    ],
)
def test_the_buckets_are_those_of_vllm(name: str, bounds: str) -> None:
    samples = metered("hi").scrape().samples(f"{name}_bucket")

    assert [labels["le"] for labels, _ in samples] == bounds.split()


def test_times_fall_into_the_coarser_buckets_of_vllm() -> None:
    app = metered()
    for seconds in (0.0005, 0.02, 0.31, 9000.0):
        app.ask(request(PATHS["chat"], chat_request("hi")), seconds)
    scraped = app.scrape()

    name = "vllm:e2e_request_latency_seconds_bucket"
    counts = {labels["le"]: value for labels, value in scraped.samples(name)}
    assert (counts["0.3"], counts["0.5"], counts["7680.0"], counts["+Inf"]) == (2, 3, 3, 4)


def test_the_cache_is_as_full_as_the_pools() -> None:
    app = metered("hi")
    assert app.scrape().value("vllm:kv_cache_usage_perc", **MODEL) == 0
    app.meter.cells[TAKEN], app.meter.cells[PLACES] = 3, 4

    assert app.scrape().value("vllm:kv_cache_usage_perc", **MODEL) == 0.75
