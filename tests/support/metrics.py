"""Metrics as a client reads them: by the parsers of prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import prometheus_client.parser
from prometheus_client.openmetrics import parser as openmetrics

from mockllm.config.models import Config
from mockllm.endpoints.metrics import METRICS, MetricsPage
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.observers.lateness import Lateness
from mockllm.serve.metrics_board import MetricsBoard
from tests.support.apps import LoneApp
from tests.support.observed import request

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class Scraped:
    """A page of metrics. Its samples have the names and the labels that Prometheus stores."""

    def __init__(self, text: str, *, is_openmetrics: bool = False) -> None:
        parse: Any = prometheus_client.parser.text_string_to_metric_families
        if is_openmetrics:
            parse = openmetrics.text_string_to_metric_families
        self.families = {family.name: family for family in parse(text)}

    def samples(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and the value of each sample called `name`."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name:
                    yield sample.labels, sample.value

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples called `name` that have these labels."""
        return sum(value for found, value in self.samples(name) if labels.items() <= found.items())


class MeteredApp:
    """An app with metrics. What it answers is counted as sent at once."""

    def __init__(self, config: dict[str, Any], *, vllm: bool = False) -> None:
        self.app = LoneApp(Engine(load(Config.from_dict(config))))
        self.board = MetricsBoard(vllm=vllm)
        self.meter = self.board.meter(lambda: 0.0)
        self.lateness = Lateness()
        self.app.show_metrics(
            MetricsPage(self.board.sums, lambda: self.lateness, vllm=vllm), self.meter
        )

    def ask(self, asked: Request, seconds: float = 0.0005) -> None:
        """Answer a request."""
        self.meter.count(asked, self.app.decide(asked).match, seconds)

    def page(self, accept: str = "", method: str = "GET") -> tuple[int, dict[bytes, bytes], str]:
        """The status, the headers and the text of the page."""
        asked = request(METRICS, b"", {"accept": accept}, method=method)
        reply = self.app.decide(asked).reply
        return reply.status, dict(reply.headers), reply.body.decode()

    def scrape(self) -> Scraped:
        """The metrics, as Prometheus reads them."""
        return Scraped(self.page()[2])
