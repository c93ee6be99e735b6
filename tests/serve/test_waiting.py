"""Waiting for calls in the loop that gets them."""

from __future__ import annotations

import asyncio

import pytest

from mockllm.serve.waiting import wait_for_count
from tests.support.observed import PATHS, Observed, request
from tests.support.served import PATIENCE, chat_request

pytestmark = pytest.mark.anyio

HI = request(PATHS["chat"], chat_request("weather"))


async def test_waiting_ends_as_soon_as_there_are_enough() -> None:
    observed = Observed()
    waiting = asyncio.create_task(wait_for_count(observed.journal, None, 2, PATIENCE))
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        observed.ask(HI)

    assert await waiting
    assert observed.journal.listeners == set()


async def test_calls_of_other_sessions_are_not_waited_for() -> None:
    observed = Observed()
    observed.ask(HI)

    assert not await wait_for_count(observed.journal, "a", 1, 0.0)
    assert observed.journal.listeners == set()


async def test_two_may_wait_at_once() -> None:
    observed = Observed()
    both = [asyncio.create_task(wait_for_count(observed.journal, None, 1, PATIENCE)) for _ in "ab"]
    await asyncio.sleep(0)
    observed.ask(HI)

    assert await asyncio.gather(*both) == [True, True]
