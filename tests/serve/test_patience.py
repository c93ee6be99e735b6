"""Waiting that goes by the turns of the loop, not by the clock alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from mockllm.serve.patience import PARTS, patience, wait_for

pytestmark = pytest.mark.anyio

LONG = 1.0  # seconds


async def test_what_takes_too_long_is_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with patience(0.01):
            await asyncio.Event().wait()


async def test_time_in_which_the_loop_does_not_turn_is_not_counted() -> None:
    async with patience(LONG):
        for _ in range(PARTS // 2):
            await asyncio.sleep(0)
            time.sleep(LONG / 2)  # noqa: ASYNC251  # as if the process had been stopped
        await asyncio.sleep(0)


async def test_a_loop_that_is_always_busy_has_an_end() -> None:
    turns = 0

    async def be_busy() -> None:
        nonlocal turns
        async with patience(0.01):
            while True:
                time.sleep(0.02)  # noqa: ASYNC251  # what is tested
                await asyncio.sleep(0)
                turns += 1

    with pytest.raises(TimeoutError):
        await be_busy()
    assert turns <= 2 * PARTS


async def test_a_task_is_waited_for_until_it_is_done() -> None:
    task = asyncio.create_task(asyncio.sleep(0))

    await wait_for(task, 20.0)

    assert task.done()


async def test_a_task_that_takes_too_long_goes_on() -> None:
    goes_on = asyncio.Event()
    task = asyncio.create_task(goes_on.wait())

    await wait_for(task, 0.01)

    assert not task.done()
    goes_on.set()
    assert await task
