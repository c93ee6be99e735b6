"""What is looked at ten times a second."""

from __future__ import annotations

from typing import Any

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import PoolRule
from mockllm.observers.metric_cells import (
    CONNECTIONS,
    HITS,
    LAG,
    MISSES,
    PLACES,
    STALLS,
    TAKEN,
)
from mockllm.observers.metric_sums import cumulative
from mockllm.serve.connections import Service
from mockllm.serve.metrics_board import MetricsBoard
from mockllm.serve.sampling import INTERVAL, Sampler
from tests.support.manual_time import Answer, ManualTime, frames_of, pacing
from tests.support.observed import SAME_REPLY, request
from tests.support.served import chat_request


class Sampled:
    """A service, and its sampler, at a time that is driven by hand."""

    def __init__(self) -> None:
        self.time = ManualTime()
        self.clock = self.time.clock()
        self.app = App(Engine(load(Config.from_dict(SAME_REPLY))))
        service = Service(self.app, clock=self.clock)
        service.connections = {object(), object()}  # type: ignore[arg-type]  # they are counted
        meter = MetricsBoard().meter(lambda: self.time.now)
        self.cells = meter.cells
        self.sampler = Sampler(service, meter, call_later=self.time.call_later)

    def ask(self, times: int) -> None:
        for _ in range(times):
            self.app.decide(request("/v1/chat/completions", chat_request("weather")))

    def at(self, *cells: int) -> list[int]:
        return [self.cells[cell] for cell in cells]


def test_what_the_cache_has_found_is_counted_once_also_after_a_reload() -> None:
    sampled = Sampled()
    sampled.ask(5)
    sampled.sampler.sample()
    sampled.sampler.sample()
    assert sampled.at(HITS, MISSES) == [3, 2]

    sampled.ask(2)
    sampled.app.use(Engine(load(Config.from_dict(SAME_REPLY))))
    sampled.ask(4)
    sampled.sampler.sample()
    assert sampled.at(HITS, MISSES) == [3 + 2 + 2, 2 + 2]


def test_without_a_cache_nothing_is_reused() -> None:
    sampled = Sampled()
    sampled.app.use(Engine(load(Config.from_dict(SAME_REPLY)), reuse=False))
    sampled.ask(3)
    sampled.sampler.sample()

    assert sampled.at(HITS, MISSES) == [0, 0]


def test_connections_and_places_are_looked_at() -> None:
    sampled = Sampled()
    rule = PoolRule("gpu", concurrency=4)
    for _ in range(3):
        Answer(sampled.time, sampled.clock, pacing(rule=rule), frames_of(1, 1))
    Answer(sampled.time, sampled.clock, pacing(), frames_of(1, 1))
    sampled.sampler.sample()

    assert sampled.at(CONNECTIONS, TAKEN, PLACES) == [2, 3, 4]


def test_the_lag_of_the_loop_is_measured() -> None:
    sampled = Sampled()
    sampled.sampler.start()
    sampled.time.run(until=sampled.time.now + 10.5 * INTERVAL)
    counts: Any = cumulative(LAG, sampled.cells[:])[0]
    assert (counts[0], sampled.at(STALLS)) == (10, [0])

    sampled.time.stall(INTERVAL + 0.3)
    sampled.time.run(until=sampled.time.now)
    counts = cumulative(LAG, sampled.cells[:])[0]
    assert counts[-1] > 10
    assert sampled.at(STALLS) == [1]
