"""Waiting for calls in the loop that gets them."""

from __future__ import annotations

import asyncio

import pytest

from mockllm.serve.gates import Gates
from mockllm.serve.waiting import wait_for_count, wait_unless_stopped
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


# --- Until the server stops -----------------------------------------------------------------------


async def test_waiting_ends_when_the_server_stops() -> None:
    observed, gates = Observed(), Gates()
    counting = wait_for_count(observed.journal, None, 1, PATIENCE)
    waiting = asyncio.create_task(wait_unless_stopped(counting, gates))
    await asyncio.sleep(0)
    assert not waiting.done()

    gates.stop()

    assert not await waiting
    assert (observed.journal.listeners, gates.listeners) == (set(), set())


async def test_a_server_that_has_stopped_waits_for_nothing() -> None:
    observed, gates = Observed(), Gates()
    gates.stop()
    counting = wait_for_count(observed.journal, None, 1, PATIENCE)

    assert not await wait_unless_stopped(counting, gates)
    assert gates.listeners == set()


async def test_until_then_what_is_waited_for_is_told() -> None:
    observed, gates = Observed(), Gates()
    counting = wait_for_count(observed.journal, None, 1, PATIENCE)
    waiting = asyncio.create_task(wait_unless_stopped(counting, gates))
    await asyncio.sleep(0)
    observed.ask(HI)

    assert await waiting
    assert not await wait_unless_stopped(wait_for_count(observed.journal, None, 2, 0.0), gates)


async def test_what_fails_fails_whoever_waits() -> None:
    async def fail() -> bool:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await wait_unless_stopped(fail(), Gates())


async def test_a_client_that_leaves_ends_the_waiting() -> None:
    observed, gates = Observed(), Gates()
    counting = wait_for_count(observed.journal, None, 1, PATIENCE)
    waiting = asyncio.create_task(wait_unless_stopped(counting, gates))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert (observed.journal.listeners, gates.listeners) == (set(), set())
