"""Waiting for another process as long as this one turns its loop: a process that was stopped, or
whose loop was busy, has not given the other one its time, and takes nobody for slow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

PARTS = 8  # of a time; one in which the loop did not turn passes as one, however long it was


@contextlib.asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Raise a TimeoutError, as `asyncio.timeout` does, once the loop has turned for `seconds`."""
    loop = asyncio.get_running_loop()
    part = seconds / PARTS
    left = PARTS
    limit = asyncio.timeout(seconds)
    passing: asyncio.Handle

    def end_part() -> None:
        nonlocal left, passing
        left -= 1
        if left and not limit.expired():
            limit.reschedule(loop.time() + left * part)
            passing = loop.call_later(part, end_part)

    passing = loop.call_later(part, end_part)
    try:
        async with limit:
            yield
    finally:
        passing.cancel()


async def wait_for(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait until `task` is done, or the loop has turned for `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with patience(seconds):
            await asyncio.wait({task})
