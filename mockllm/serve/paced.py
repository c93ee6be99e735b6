"""The interfaces by which the clock of a process, its paced answers and their places in pools know
each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mockllm.exchange import PoolRule
from mockllm.replies.lanes import Lane
from mockllm.replies.pools import Pool


class Paced(Protocol):
    """The interface of `serve.paced_player.PacedPlayer` for the clock."""

    def begin(self, pool: Pool[Paced], now: float) -> None:
        """Begin: there is a place in the pool."""

    @property
    def is_stream(self) -> bool:
        """True if the answer is a stream."""


class SharedPlace(Protocol):
    """The interface of `serve.shared_pools.PoolPlace` for the clock."""

    @property
    def others(self) -> int:
        """The number of answers of the pool that other processes generate."""

    def wait(self, begin: Callable[[], None]) -> None:
        """Have `begin` called when there is a place, now or later."""


class AnswerClock(Protocol):
    """The interface of `serve.clock.Clock` for paced answers."""

    now: Callable[[], float]
    common: Lane[Paced]
    late: list[float]
    tokens: int

    def enter(
        self, answer: Paced, rule: PoolRule, place: SharedPlace | None = None
    ) -> Pool[Paced] | None:
        """Let an answer begin, now or later, unless its pool is full."""

    def leave(self, answer: Paced, pool: Pool[Paced]) -> None:
        """Give the place of an answer to the next one."""

    def set_timer(self) -> None:
        """Set the timer to the earliest deadline, after a change of deadlines."""

    def count_all(self, dues: Sequence[float], tokens: int) -> None:
        """Count steps that were handed to the system just now."""
