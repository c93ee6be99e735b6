"""`GET /metrics`: its formats, and what has no place there."""

from __future__ import annotations

import sys

import pytest

from mockllm.endpoints.metrics import MAX_SAMPLES, require_metrics
from mockllm.engine.decision import Outcome
from mockllm.errors import MissingExtraError
from tests.support.metrics import OPENMETRICS, MeteredApp, Scraped
from tests.support.observed import SAME_REPLY, Observed, request
from tests.support.served import chat_request

CHAT = "/v1/chat/completions"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 accepts."""


def asked() -> MeteredApp:
    metered = MeteredApp(SAME_REPLY, vllm=True)
    for text in ("weather", "weather", "busy", "nothing"):
        metered.ask(request(CHAT, chat_request(text)))
    return metered


@pytest.mark.parametrize(
    ("accept", "is_openmetrics"),
    [
        ("", False),
        ("text/plain", False),
        ("*/*", False),
        (OPENMETRICS, True),
        (PROMETHEUS, True),
        ("text/plain, application/openmetrics-text", True),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.5, */*;q=0.1", True),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4, */*", True),
        ("application/openmetrics-text;q=much, text/plain", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;version=1.0.0; Q=0.000, text/plain", False),
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.9, */*", False),
        ("text/*;q=0.9, application/openmetrics-text;q=0.8", False),
    ],
)
def test_a_client_gets_the_format_that_it_accepts(accept: str, is_openmetrics: bool) -> None:
    status, headers, text = asked().page(accept)

    assert status == 200
    kind = "application/openmetrics-text" if is_openmetrics else "text/plain"
    assert headers[b"content-type"].startswith(kind.encode())
    scraped = Scraped(text, is_openmetrics=is_openmetrics)
    assert scraped.value("mockllm_requests_total", mock="weather", status="200") == 2
    assert scraped.value("mockllm_requests_total", mock="busy", status="503") == 1
    assert scraped.value("mockllm_requests_total", outcome="no match", status="404") == 1


def test_both_formats_have_the_same_samples() -> None:
    metered = asked()
    one, other = metered.page()[2], metered.page(PROMETHEUS)[2]

    def samples(scraped: Scraped) -> set[tuple[str, str, float]]:
        return {
            (sample.name, str(sorted(sample.labels.items())), sample.value)
            for family in scraped.families.values()
            for sample in family.samples
        }

    assert samples(Scraped(one)) == samples(Scraped(other, is_openmetrics=True))


def test_a_large_page_is_written_in_pieces() -> None:
    count = 3 * MAX_SAMPLES
    mocks = [
        {"name": f"mock {number}", "match": {"user": f"{number}"}, "reply": "ok"}
        for number in range(count)
    ]
    metered = MeteredApp({"mocks": mocks})
    for number in range(count):
        metered.ask(request(CHAT, chat_request(str(number))))
    before = metered.app.pauses

    for accept in ("", OPENMETRICS):
        _, _, text = metered.page(accept)
        assert text.count("# TYPE mockllm_requests") == 1
        assert text.count("# EOF") == (accept == OPENMETRICS)
        scraped = Scraped(text, is_openmetrics=accept == OPENMETRICS)
        names = {labels["mock"] for labels, _ in scraped.samples("mockllm_requests_total")}
        assert len(names - {""}) == count
    assert metered.app.pauses - before > 2 * 4


def test_the_names_of_mocks_beyond_the_first_1000_are_other() -> None:
    mocks = [
        {"name": f"mock {number}", "match": {"user": f"{number}"}, "reply": "ok"}
        for number in range(1_003)
    ]
    metered = MeteredApp({"mocks": mocks})
    for number in range(1_003):
        metered.ask(request(CHAT, chat_request(str(number))))

    scraped = metered.scrape()
    assert scraped.value("mockllm_requests_total", mock="other") == 3
    assert scraped.value("mockllm_requests_total", mock="mock 999") == 1
    assert scraped.value("mockllm_requests_total", mock="mock 1000") == 0


def test_a_hostile_name_is_escaped() -> None:
    name = 'a"} 1\n# HELP \\ 漢'
    metered = MeteredApp({"mocks": [{"name": name, "match": {"user": "hi"}, "reply": "ok"}]})
    metered.ask(request(CHAT, {**chat_request("hi"), "model": name}))

    for accept in ("", OPENMETRICS):
        scraped = Scraped(metered.page(accept)[2], is_openmetrics=accept == OPENMETRICS)
        names = {labels["mock"] for labels, _ in scraped.samples("mockllm_requests_total")}
        assert name in names


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_metrics_are_read_only(method: str) -> None:
    status, headers, _ = asked().page(method=method)

    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")


def test_metrics_need_no_credentials_and_are_no_calls() -> None:
    metered = asked()
    decision = metered.app.decide(request("/metrics", b"", {"authorization": ""}, method="HEAD"))

    assert (decision.reply.status, decision.match.outcome) == (200, Outcome.PROBE)


def test_there_are_none_unless_they_are_asked_for() -> None:
    decision = Observed().app.decide(request("/metrics", b"", method="GET"))

    assert decision.reply.status == 404


def test_what_is_missing_for_metrics_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_metrics()
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(MissingExtraError, match=r"need an extra.*mockllm-server\[metrics\]"):
        require_metrics()
