"""Requests that are counted for metrics, without a server."""

from __future__ import annotations

from typing import Any

from mockllm.exchange import Request
from mockllm.observers.measured import Measured
from mockllm.observers.metric_sums import Sums
from mockllm.serve.metrics_board import MetricsBoard
from tests.support.apps import LoneApp
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request

CHAT = PATHS["chat"]
CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": "weather"}, "reply": "Sunny in Rome"},
        {
            "name": "cut off",
            "match": {"user": "long"},
            "reply": {
                "text": "and so on",
                "finish": "length",
                "usage": {"input": 70, "output": 5, "cached": 20},
            },
        },
        {"match": {"user": "say"}, "reply": {"generate": "echo"}},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
        {"name": "late", "match": {"user": "late"}, "reply": "ok", "latency": {"ttft": "1s"}},
        {
            "name": "broken",
            "match": {"user": "broken"},
            "reply": "one two three",
            "fault": {"after": {"tokens": 2}, "end": "cut"},
        },
    ]
}


class Metered:
    """An app whose requests are counted, at a time that is set by hand."""

    def __init__(self, config: dict[str, Any] = CONFIG) -> None:
        self.app: LoneApp = Observed(config).app
        self.now = 100.0
        self.board = MetricsBoard()
        self.meter = self.board.meter(lambda: self.now)
        self.app.engine.responder.needs_input = self.meter.needs_input

    def count(self, asked: Request, seconds: float = 0.0005, *, times: int = 1) -> None:
        for _ in range(times):
            self.meter.count(asked, self.app.decide(asked).match, seconds)

    def begin(self, asked: Request) -> Measured:
        """Begin an answer that takes time."""
        decision = self.app.decide(asked)
        return Measured(self.meter, asked, decision.match, is_stream=decision.reply.streamed)

    @property
    def sums(self) -> Sums:
        return self.board.sums()

    def cell(self, number: int) -> int:
        (group,) = self.sums.groups
        return group.cells[number]


def chat(text: str, **members: Any) -> Request:
    return request(CHAT, chat_request(text, **members))
