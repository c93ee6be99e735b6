"""Pools: how many answers are generated at once, and how much that slows each of them down.

A pool has time of its own. It passes more slowly the more answers are generated, so all of them
follow at once when one begins or ends: only the rate changes, no deadline does. The pool has no
clock: every call says what time it is.

For example, in a pool with ``concurrency=3, slowdown=3`` a token of 10 ms takes 10 ms if there is
one answer, 20 ms with two and 30 ms with three; the square root of this factor applies to the time
until the first token. A fourth answer waits for a place.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Generic, TypeVar

from mockllm.exchange import PoolRule
from mockllm.replies.lanes import Lane

Item = TypeVar("Item")


def factor(rule: PoolRule, running: int) -> float:
    """Return the factor on the time of a token while so many answers are generated: it grows with
    their number, from 1 for a single answer."""
    if rule.concurrency is None or rule.concurrency < 2 or running < 2:
        return 1.0
    return 1.0 + (rule.slowdown - 1.0) * (running - 1) / (rule.concurrency - 1)


def share(rule: PoolRule, number: int, of: int) -> PoolRule:
    """Return the rule of the process with this `number` (from 0) among `of` processes, which have
    equal shares of the places, and at least one each."""
    if of < 2:
        return rule
    return rule._replace(
        concurrency=_share(rule.concurrency, number, of, least=1),
        queue=_share(rule.queue, number, of, least=0),
    )


def _share(whole: int | None, number: int, of: int, *, least: int) -> int | None:
    return None if whole is None else max((whole + of - 1 - number) // of, least)


class PoolAdmission(Enum):
    """What happens to an answer that enters a pool."""

    RUNS = auto()
    WAITS = auto()
    REFUSED = auto()


class Pool(Generic[Item]):
    """The answers of one pool. `prefill` is the time in which they wait for their first token,
    `decode` that of the further ones; a pool that slows nothing down may share both with others."""

    def __init__(
        self, rule: PoolRule, prefill: Lane[Item], decode: Lane[Item], *, speed: float = 1.0
    ) -> None:
        self.rule = rule
        self.prefill = prefill
        self.decode = decode
        self._speed = speed
        self._running: set[Item] = set()
        self._waiting: dict[Item, None] = {}  # in order

    @property
    def running(self) -> int:
        """The number of answers that are generated."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """The number of answers that wait for a place."""
        return len(self._waiting)

    def is_running(self, item: Item) -> bool:
        """True if an answer is generated."""
        return item in self._running

    def enter(self, item: Item, now: float) -> PoolAdmission:
        """Let an answer begin, wait or be refused."""
        rule = self.rule
        if rule.concurrency is None or len(self._running) < rule.concurrency:
            self._running.add(item)
            self._set_rates(now)
            return PoolAdmission.RUNS
        if rule.queue is None or len(self._waiting) < rule.queue:
            self._waiting[item] = None
            return PoolAdmission.WAITS
        return PoolAdmission.REFUSED

    def leave(self, item: Item, now: float) -> Item | None:
        """Remove an answer, wherever it is; without effect if it has left. Returns the one that has
        waited longest if that begins in its place."""
        if item not in self._running:
            self._waiting.pop(item, None)
            return None
        self._running.discard(item)
        follower = next(iter(self._waiting), None)
        if follower is not None:
            del self._waiting[follower]
            self._running.add(follower)
        self._set_rates(now)
        return follower

    def set_speed(self, speed: float, now: float) -> None:
        """Let the time of the pool pass `speed` times as fast."""
        self._speed = speed
        self._set_rates(now)

    def _set_rates(self, now: float) -> None:
        if self.prefill is self.decode:  # shared with other pools
            return
        slower = factor(self.rule, self._generated())
        self.prefill.set_rate(self._speed / math.sqrt(slower), now)
        self.decode.set_rate(self._speed / slower, now)

    def _generated(self) -> int:
        """Return the number of answers that slow each other down."""
        return len(self._running)


class SharedPool(Pool[Item]):
    """The answers of one process in a pool of several. Who has a place is decided elsewhere: all
    wait until they are let run."""

    _others = 0

    def enter(self, item: Item, now: float) -> PoolAdmission:
        """Let an answer wait."""
        self._waiting[item] = None
        return PoolAdmission.WAITS

    def run(self, item: Item, now: float) -> None:
        """Let an answer begin that waits."""
        del self._waiting[item]
        self._running.add(item)
        self._set_rates(now)

    def leave(self, item: Item, now: float) -> None:
        """Remove an answer, wherever it is; without effect if it has left. No other begins."""
        self._waiting.pop(item, None)
        if item in self._running:
            self._running.discard(item)
            self._set_rates(now)

    def set_others(self, number: int, now: float) -> None:
        """Let so many answers of other processes be generated from `now` on."""
        if number != self._others:
            self._others = number
            self._set_rates(now)

    def _generated(self) -> int:
        return len(self._running) + self._others
