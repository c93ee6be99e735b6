"""The metrics, from what was counted to what Prometheus reads."""

from __future__ import annotations

import math
from typing import Any

import pytest

import mockllm
from mockllm.endpoints.metric_families import families, fault_of
from mockllm.engine.decision import End, Match, Outcome
from mockllm.engine.limiting import ALL, Sent
from mockllm.exchange import Reply
from mockllm.observers.lateness import Lateness
from mockllm.observers.measured import Measured
from mockllm.observers.metric_sums import Requests
from tests.support.metrics import MeteredApp
from tests.support.observed import PATHS, request
from tests.support.served import chat_request, messages_request

CONFIG: dict[str, Any] = {
    "traffic": [{"match": {"user": "limited"}, "rate_limit": {"rpm": 1}}],
    "mocks": [
        {"name": "ok", "match": {"user": "hi"}, "reply": "Hello there"},
        {"name": "limited", "match": {"user": "limited"}, "reply": "ok"},
        {"name": "script", "match": {"user": "next"}, "sequence": ["one", "two"]},
        {"name": "late", "match": {"user": "late"}, "reply": "ok", "latency": {"ttft": "1s"}},
    ],
}


def metered(*texts: str) -> MeteredApp:
    app = MeteredApp(CONFIG)
    for text in texts:
        app.ask(request(PATHS["chat"], chat_request(text)))
    return app


def test_all_metrics_are_there_from_the_start_and_have_a_help() -> None:
    scraped = metered().scrape()

    expected = {family.name for family in families(MeteredApp(CONFIG).board.sums(), Lateness())}
    assert {name for name in scraped.families if name != "mockllm_build_info"} == expected - {
        "mockllm_build"
    }
    assert all(family.documentation for family in scraped.families.values())
    assert scraped.value("mockllm_build_info", version=mockllm.__version__) == 1


def test_tokens_and_times_are_told_by_model() -> None:
    app = metered("hi", "hi", "hi")
    app.ask(request(PATHS["messages"], messages_request("hi")), seconds=0.3)
    scraped = app.scrape()

    labels = {"api": "chat", "model": "mock-model"}
    assert scraped.value("mockllm_output_tokens_total", **labels) == 9
    assert scraped.value("mockllm_input_tokens_total", **labels) > 0
    assert scraped.value("mockllm_request_duration_seconds_count", **labels) == 3
    assert scraped.value("mockllm_request_duration_seconds_bucket", le="0.001", **labels) == 3
    other = {"api": "messages", "model": "mock-model"}
    assert scraped.value("mockllm_request_duration_seconds_bucket", le="0.2", **other) == 0
    assert scraped.value("mockllm_request_duration_seconds_bucket", le="0.3", **other) == 1
    assert scraped.value("mockllm_request_duration_seconds_sum", **other) == 0.3


def test_buckets_are_cumulative_and_end_at_infinity() -> None:
    scraped = metered("hi").scrape()

    histograms = [each for each in scraped.families.values() if each.type == "histogram"]
    assert len(histograms) == 5
    for family in histograms:
        buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
        bounds = [float(sample.labels["le"]) for sample in buckets]
        assert bounds == sorted(bounds)
        assert bounds[-1] == math.inf
        counts = [sample.value for sample in buckets]
        assert counts == sorted(counts)


def test_open_and_waiting_answers_are_told() -> None:
    app = metered()
    asked = request(PATHS["chat"], chat_request("late", stream=True))
    match = app.app.decide(asked).match
    begun = [Measured(app.meter, asked, match, is_stream=True) for _ in range(3)]
    begun[2].wait()
    scraped = app.scrape()

    assert scraped.value("mockllm_open_streams") == 2
    assert scraped.value("mockllm_running_answers") == 2
    assert scraped.value("mockllm_waiting_answers") == 1
    for each in begun:
        each.end(200, End.CLIENT_GONE, 0.0, 0.1, Sent(tokens=0))
    scraped = app.scrape()
    assert scraped.value("mockllm_client_disconnects_total", api="chat") == 3
    assert scraped.value("mockllm_open_streams") == scraped.value("mockllm_waiting_answers") == 0


def test_late_steps_are_those_of_the_timing() -> None:
    app = metered()
    app.lateness.add_all([0.0004] * 3, 3)
    app.lateness.add_all([0.007], 1)
    app.lateness.add_all([100.0], 1)
    scraped = app.scrape()

    name = "mockllm_step_lateness_seconds_bucket"
    counts = {labels["le"]: value for labels, value in scraped.samples(name)}
    assert (counts["0.0002"], counts["0.0005"], counts["0.005"]) == (0, 3, 3)
    assert (counts["0.01"], counts["+Inf"]) == (4, 5)
    assert max(value for limit, value in counts.items() if limit != "+Inf") == 4


def test_limits_and_questions_to_the_store_are_counted() -> None:
    scraped = metered("limited", "limited", "limited", "next").scrape()

    assert scraped.value("mockllm_rate_limited_total", api="chat") == 2
    assert scraped.value("mockllm_requests_total", outcome="rate limited", status="429") == 2
    assert scraped.value("mockllm_store_operations_total", operation="spend") >= 3
    assert scraped.value("mockllm_store_operations_total", operation="choose") == 1


def test_retries_are_counted() -> None:
    app = metered()
    headers = {"x-stainless-retry-count": "1"}
    app.ask(request(PATHS["chat"], chat_request("hi"), headers))

    assert app.scrape().value("mockllm_retries_total", api="chat") == 1


MOCK = Requests("chat", "200", Outcome.MOCK, "a", End.COMPLETE, False)


@pytest.mark.parametrize(
    ("requests", "fault"),
    [
        (MOCK, None),
        (MOCK._replace(status="other"), None),
        (MOCK._replace(status="429"), "error"),
        (MOCK._replace(status="529", outcome=Outcome.TRAFFIC), "error"),
        (MOCK._replace(status="500", outcome=Outcome.ASKED_FOR), "error"),
        (MOCK._replace(status="404", outcome=Outcome.UNMATCHED), None),
        (MOCK._replace(status="429", outcome=Outcome.LIMITED), None),
        (MOCK._replace(is_broken=True), "content"),
        (MOCK._replace(is_broken=True, end=End.CUT), "cut"),
        (MOCK._replace(is_broken=True, end=End.RESET), "reset"),
        (MOCK._replace(is_broken=True, end=End.HANG), "hang"),
        (MOCK._replace(is_broken=True, end=End.CLEAN), "ended_early"),
        (MOCK._replace(end=End.CLIENT_GONE), None),
    ],
)
def test_faults_have_kinds(requests: Requests, fault: str | None) -> None:
    assert fault_of(requests) == fault


def test_a_cut_answer_is_a_fault() -> None:
    app = metered()
    asked = request(PATHS["chat"], chat_request("hi"))
    match = app.app.decide(asked).match._replace(is_broken=True)
    Measured(app.meter, asked, match, is_stream=False).end(200, End.CUT, 0.1, 0.1, ALL)

    assert app.scrape().value("mockllm_faults_total", kind="cut") == 1


def test_a_request_that_is_no_http_is_counted() -> None:
    app = metered()
    refused = Match(Outcome.REFUSED, Reply.whole(408, (), b""))
    app.meter.count(request("", b"", method=""), refused, 0.0)

    assert app.scrape().value("mockllm_requests_total", status="408", outcome="refused") == 1
