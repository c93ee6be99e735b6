"""Templates that are rendered at once, and clocks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mockllm.replies.template_bounds import Budget
from mockllm.replies.templates import compile_template

NAMES = ("user", "messages", "body", "turn")


def still() -> float:
    """A clock that stands still."""
    return 0.0


def ticking() -> Callable[[], float]:
    """A clock that goes on by a microsecond whenever it is read."""
    readings = iter(range(10**9))
    return lambda: next(readings) / 1_000_000


def render(source: str, now: Callable[[], float] = still, **values: Any) -> str:
    making = compile_template(source, NAMES).make(values, Budget(now))
    try:
        while True:
            next(making)
    except StopIteration as end:
        text: str = end.value
        return text
