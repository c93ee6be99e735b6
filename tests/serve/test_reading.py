"""The time in which large bodies are received is divided among the connections."""

from __future__ import annotations

import asyncio
from collections.abc import Set

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from mockllm.serve.reading import MAX_READING, MAX_STOPPED, Readable, Reading

pytestmark = pytest.mark.anyio

HALF = MAX_READING * 0.6  # two of them are too much


class Sender:
    """A connection whose peer sends without a pause."""

    def __init__(self, *, answers: bool = False) -> None:
        self.reads = 0
        self.is_read = True
        self._answers = answers

    def stop_reading(self) -> bool:
        if not self._answers:
            self.is_read = False
        return not self._answers

    def start_reading(self) -> None:
        self.is_read = True


async def iterate(reading: Reading, senders: Set[Sender], seconds: float, times: int = 1) -> None:
    """Receive from all that are read, in the same order each time, as a loop does."""
    order = sorted(senders, key=id)
    for _ in range(times):
        for each in order:
            if each.is_read:
                each.reads += 1
                reading.spend(each, seconds)
        await checkpoint()


async def test_those_that_are_left_come_before_those_that_had_their_share() -> None:
    senders = {Sender() for _ in range(5)}
    reading, reads = Reading(senders), []
    for _ in range(4):
        await iterate(reading, senders, HALF)
        reads.append([each.reads for each in sorted(senders, key=id)])

    assert reads == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [2, 2, 1, 1, 1]]


@given(st.integers(1, 12), st.floats(0, 3), st.integers(1, 40))
def test_none_is_read_twice_more_often_than_another(
    count: int, share: float, iterations: int
) -> None:
    async def read() -> list[int]:
        senders = {Sender() for _ in range(count)}
        await iterate(Reading(senders), senders, MAX_READING * share, iterations)
        return [each.reads for each in senders]

    reads = asyncio.run(read())

    assert max(reads) - min(reads) <= 1
    assert max(reads) >= 1


async def test_all_are_read_again_once_no_one_sends() -> None:
    senders = {Sender() for _ in range(5)}
    reading = Reading(senders)
    await iterate(reading, senders, HALF, times=2)
    for _ in range(3):
        await checkpoint()

    assert all(each.is_read for each in senders)


async def test_one_that_answers_is_not_stopped_and_not_started() -> None:
    sends, answers = Sender(), Sender(answers=True)
    reading = Reading({sends, answers})
    reading.spend(sends, MAX_READING)
    answers.is_read = False  # it has stopped for a reason of its own
    await checkpoint()

    assert sends.is_read
    assert not answers.is_read


async def test_a_crowd_is_not_stopped() -> None:
    senders = {Sender() for _ in range(MAX_STOPPED + 1)}
    reading = Reading(senders)
    await iterate(reading, senders, HALF, times=2)

    assert {each.reads for each in senders} == {2}


async def test_a_new_connection_is_stopped_with_the_others() -> None:
    first, second, third = Sender(), Sender(), Sender()
    connections: set[Readable] = {first, second}
    reading = Reading(connections)
    reading.spend(first, MAX_READING)
    await checkpoint()
    connections.add(third)
    reading.spend(second, MAX_READING)
    stopped = [each.is_read for each in (first, second, third)]
    await checkpoint()

    assert stopped == [False, False, False]
    assert [each.is_read for each in (first, second, third)] == [False, False, True]
