"""Looks at a server ten times a second, for metrics that cost nothing per request: how late the
loop is, how many connections there are, what the cache of matches has found.
"""

from __future__ import annotations

from mockllm.engine.match_cache import MatchCache
from mockllm.observers.metric_cells import (
    CONNECTIONS,
    HITS,
    LAG,
    MISSES,
    PLACES,
    STALLS,
    TAKEN,
)
from mockllm.observers.metrics import Meter
from mockllm.serve.connections import Service
from mockllm.serve.timers import CallLater, call_later

INTERVAL = 0.1  # seconds
MIN_STALL = 0.01  # seconds by which the loop is late


class Sampler:
    """Samples `service` for its `meter` from `start` on, as long as the loop runs."""

    def __init__(
        self, service: Service, meter: Meter, *, call_later: CallLater = call_later
    ) -> None:
        self._service = service
        self._meter = meter
        self._call_later = call_later
        self._due = 0.0
        self._cache: MatchCache | None = None
        self._hits = self._misses = 0  # of the cache, that were counted

    def start(self) -> None:
        """Begin to sample."""
        self._schedule()

    def sample(self) -> None:
        """Count what holds now."""
        cells, service = self._meter.cells, self._service
        cells[CONNECTIONS] = len(service.connections)
        cells[TAKEN], cells[PLACES] = service.clock.places()
        self._count_reuse()
        cache = service.app.engine.match_cache
        if cache is not self._cache:  # of another configuration
            self._cache, self._hits, self._misses = cache, 0, 0
            self._count_reuse()

    def _count_reuse(self) -> None:
        """Count what the known cache was asked since the last time."""
        cache, cells = self._cache, self._meter.cells
        if cache is None:
            return
        hits, misses = cache.hits, cache.misses
        cells[HITS] += hits - self._hits
        cells[MISSES] += misses - self._misses
        self._hits, self._misses = hits, misses

    def _schedule(self) -> None:
        self._due = self._meter.now() + INTERVAL
        self._call_later(INTERVAL, self._tick)

    def _tick(self) -> None:
        late = max(self._meter.now() - self._due, 0.0)
        LAG.add(self._meter.cells, 0, late)
        if late >= MIN_STALL:
            self._meter.cells[STALLS] += 1
        self.sample()
        self._schedule()
