"""Readings are made one after the other, for all who asked before they began."""

from __future__ import annotations

import asyncio

import pytest
from anyio.lowlevel import checkpoint

from mockllm.serve import rounds
from mockllm.serve.rounds import Rounds

pytestmark = pytest.mark.anyio


class Source:
    """What is read: each reading returns its number, once it may go on."""

    def __init__(self) -> None:
        self.readings = 0
        self.dropped = 0
        self.go_on = asyncio.Event()
        self.rounds = Rounds(self._read, self._drop)

    async def _read(self) -> int:
        self.readings += 1
        number = self.readings
        await self.go_on.wait()
        if number == 13:
            raise ZeroDivisionError
        return number

    def _drop(self) -> None:
        self.dropped += 1


async def test_who_asks_while_a_reading_is_made_waits_for_the_next() -> None:
    source = Source()
    asked = [asyncio.create_task(source.rounds.next())]
    await checkpoint()
    await checkpoint()  # the reading has begun
    asked += [asyncio.create_task(source.rounds.next()) for _ in range(2)]
    await checkpoint()
    source.go_on.set()

    assert await asyncio.gather(*asked) == [1, 2, 2]
    assert await source.rounds.next() == 3
    source.rounds.stop()


async def test_a_reading_goes_on_for_others_if_who_asked_has_left() -> None:
    source = Source()
    leaves, stays = (asyncio.create_task(source.rounds.next()) for _ in range(2))
    await checkpoint()
    leaves.cancel()
    source.go_on.set()

    assert await stays == 1
    source.rounds.stop()


async def test_a_reading_that_fails_does_not_end_the_next() -> None:
    source = Source()
    source.go_on.set()
    source.readings = 12
    with pytest.raises(ZeroDivisionError):
        await source.rounds.next()

    assert await source.rounds.next() == 14
    source.rounds.stop()


async def test_what_nobody_asks_for_is_dropped_and_not_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "MAX_UNUSED", 0.001)
    source = Source()
    asked = asyncio.create_task(source.rounds.next())
    await asyncio.sleep(0.01)  # the loop has passed that time
    assert not source.dropped
    source.go_on.set()
    await asked
    source.rounds.keep()
    while not source.dropped:  # noqa: ASYNC110  # until it is
        await asyncio.sleep(0.001)


async def test_nothing_is_dropped_once_it_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MAX_UNUSED", 0.001)
    source = Source()
    source.go_on.set()
    await source.rounds.next()
    source.rounds.stop()
    await asyncio.sleep(0.01)

    assert not source.dropped


async def test_nothing_is_dropped_before_those_who_waited_for_it_have_it() -> None:
    source = Source()
    source.go_on.set()
    asked = asyncio.create_task(source.rounds.next())
    await asyncio.sleep(0)
    while not asked.done():
        source.rounds._drop_unused()  # as if its time came now
        assert not source.dropped
        await asyncio.sleep(0)

    source.rounds._drop_unused()
    assert source.dropped
    source.rounds.stop()
