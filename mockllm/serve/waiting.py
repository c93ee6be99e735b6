"""Waits for calls, in the loop of the server that gets them."""

from __future__ import annotations

import asyncio

from mockllm.observers.journal import Journal


async def wait_for_count(
    journal: Journal,
    session: str | None,
    count: int,
    timeout: float,  # noqa: ASYNC109  # the test's
) -> bool:
    """Wait until `journal` has `count` calls of a session, or of all. Returns False if it has not
    after `timeout` seconds."""
    changed = asyncio.Event()
    journal.listeners.add(changed.set)
    try:
        async with asyncio.timeout(timeout):
            while journal.count(session) < count:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return False
    finally:
        journal.listeners.discard(changed.set)
    return True
