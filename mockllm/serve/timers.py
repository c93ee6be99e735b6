"""Calls that are made later: those of the running loop, or of a test's own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Schedules a call in so many seconds."""


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Schedule a call in the running loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)
