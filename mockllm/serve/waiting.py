"""Waits for calls, and for answers at gates, in the loop of the server that gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mockllm.observers.journal import CallCount, Journal
from mockllm.serve.gates import Gates


async def wait_for_count(
    journal: Journal,
    session: str | None,
    count: int,
    timeout: float,  # noqa: ASYNC109  # the test's
) -> bool:
    """Wait until `journal` has `count` calls of a session, or of all. Returns False if it has not
    after `timeout` seconds."""
    calls = CallCount(journal, session)
    return await _wait_until(lambda: calls.now() >= count, journal.listeners, timeout)


async def wait_for_gate(
    gates: Gates,
    session: str | None,
    name: str,
    count: int,
    timeout: float,  # noqa: ASYNC109  # the test's
) -> int:
    """Wait until `count` answers have reached a gate of a session, or of all. Returns their number,
    which is less after `timeout` seconds, or when the server stops."""
    await _wait_until(
        lambda: gates.is_stopped or gates.reached(session, name) >= count,
        gates.listeners,
        timeout,
    )
    return gates.reached(session, name)


async def wait_unless_stopped(waiting: Coroutine[Any, Any, bool], gates: Gates) -> bool:
    """Return what `waiting` returns, or False as soon as the server of these gates stops."""
    task = asyncio.ensure_future(waiting)

    def end() -> None:
        if gates.is_stopped:
            task.cancel()

    gates.listeners.add(end)
    end()
    try:
        await asyncio.wait({task})
    finally:
        gates.listeners.discard(end)
        task.cancel()
    return not task.cancelled() and task.result()


async def _wait_until(
    holds: Callable[[], bool],
    listeners: set[Callable[[], None]],
    timeout: float,  # noqa: ASYNC109  # the test's
) -> bool:
    """Wait until something `holds`, which may change whenever `listeners` are called. Returns False
    if it does not after `timeout` seconds."""
    changed = asyncio.Event()
    listeners.add(changed.set)
    try:
        async with asyncio.timeout(timeout):
            while not holds():
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return False
    finally:
        listeners.discard(changed.set)
    return True
