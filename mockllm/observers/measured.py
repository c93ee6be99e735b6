"""Measures one answer that takes time, in the cells of a `Meter`. It knows no format of metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mockllm.engine.decision import End, Match
from mockllm.engine.limiting import ALL, Sent
from mockllm.exchange import Request
from mockllm.observers.metric_cells import (
    DURATION,
    INPUT,
    ITL,
    LATE_SUM,
    NANOSECONDS,
    OUTPUT,
    QUEUE_TIME,
    RUNNING,
    STREAMS,
    TTFT,
    WAITING,
    base_of,
)
from mockllm.observers.metrics import Meter


class Measured:
    """The measurement of one answer that takes time: paced, large, held, or generated while it is
    sent. After its creation call `wait` and `begin` if it waits for a place, `count` for each
    write, and in the end `end` or `discard`, once."""

    __slots__ = (
        *("_meter", "_request", "_match", "_base", "_is_stream", "_began", "_is_waiting"),
        *("_last", "tokens", "count_steps"),
    )

    def __init__(self, meter: Meter, request: Request, match: Match, *, is_stream: bool) -> None:
        self._meter = meter
        self._request = request
        self._match = match
        group = meter.group_of(request, match)
        self._base = None if group is None else base_of(group)
        self._is_stream = is_stream
        self._began = meter.now()
        self._is_waiting = False
        self._last: float | None = None  # when a token was sent
        self.tokens = 0
        """The number of tokens that were sent."""
        self.count_steps: Callable[[Sequence[float], int], None] = _ignore
        """Also called by `count`; that of the clock, if the answer is paced."""
        self._change(RUNNING, 1)

    def wait(self) -> None:
        """Note that the answer waits for a place."""
        self._is_waiting = True
        self._change(RUNNING, -1)
        self._change(WAITING, 1)

    def begin(self) -> None:
        """Note that the answer has a place."""
        if self._is_waiting:
            self._is_waiting = False
            self._change(WAITING, -1)
            self._change(RUNNING, 1)
        if self._base is not None:
            QUEUE_TIME.add(self._meter.cells, self._base, self._meter.now() - self._began)

    def count(self, dues: Sequence[float], tokens: int) -> None:
        """Count steps with so many tokens that were sent just now, and when they were due."""
        self.count_steps(dues, tokens)
        now = self._meter.now()
        self.count_sent(now, sum([now - due for due in dues]), tokens)

    def count_sent(self, now: float, late: float, tokens: int) -> None:
        """Count steps with so many tokens that were sent `now`, and were late by so many seconds in
        all; without `count_steps`."""
        base, cells, last = self._base, self._meter.cells, self._last
        if late > 0:
            cells[LATE_SUM] += int(late * NANOSECONDS)
        self.tokens += tokens
        if base is None or not tokens or not self._is_stream:
            return
        if last is None:
            TTFT.add(cells, base, now - self._began)
        else:
            ITL.add(cells, base, (now - last) / tokens, tokens)
        self._last = now

    def end(self, status: int, end: End, first_byte: float, seconds: float, sent: Sent) -> None:
        """Count the answer, of which so much was `sent`. The times are in seconds since the request
        was complete."""
        meter, base = self._meter, self._base
        self.discard()
        api = meter.api_of(self._request, self._match.summary)
        key = meter.key_of(self._match, api, status, end)
        meter.cells[meter.part.series(key)] += 1
        meter.count_retry(self._request, api)
        if base is None:
            return
        counts = meter.counts_of(self._match)
        counts = counts._replace(output=_part_of(counts.output, sent))
        meter.cells[base + INPUT] += counts.input
        meter.cells[base + OUTPUT] += counts.output
        DURATION.add(meter.cells, base, seconds)
        if self._is_stream and self.count_steps is _ignore and first_byte > 0:
            TTFT.add(meter.cells, base, first_byte)
        meter.count_details(base, counts, end)

    def discard(self) -> None:
        """Note that the answer is over, without counting it."""
        self._change(WAITING if self._is_waiting else RUNNING, -1)

    def _change(self, cell: int, by: int) -> None:
        """Change a gauge, and with it that of the streams."""
        if self._base is None:
            return
        self._meter.cells[self._base + cell] += by
        if self._is_stream and cell == RUNNING:
            self._meter.cells[self._base + STREAMS] += by


def _ignore(dues: Sequence[float], tokens: int) -> None:
    """Count nothing."""


def _part_of(output: int, sent: Sent) -> int:
    """Return the number of tokens that were sent."""
    if sent is ALL:
        return output
    if sent.tokens is not None:
        return min(sent.tokens, output) if output else sent.tokens
    return int(output * sent.share)
