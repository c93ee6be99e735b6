"""The time of an iteration of the loop, divided among the work that takes long."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from mockllm.engine.decision import DividedWork
from mockllm.serve import turns as turns_module
from mockllm.serve.turns import MAX_FREED, MAX_RESUMED, MAX_SMALL, MAX_TURN, Turns
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio

LARGE = MAX_SMALL + 1


class Rounds:
    """Counts the iterations of the loop while work takes turns."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.now = 0
        self.began: list[tuple[str, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def work(self, name: str, seconds: float, *, size: int = 0) -> asyncio.Task[None]:
        """Begin work that takes `seconds` of its turn."""
        task = asyncio.create_task(self._work(name, seconds, size))
        self._tasks.append(task)
        return task

    async def _work(self, name: str, seconds: float, size: int) -> None:
        await self.turns.wait(size)
        self.began.append((name, self.now))
        self.turns.spend(seconds)

    async def run(self) -> list[str]:
        """Run until all work is done. Returns its names in order."""
        while not all(task.done() for task in self._tasks):
            await asyncio.sleep(0)
            self.now += 1
        return [name for name, _ in self.began]

    def in_one_round(self) -> list[int]:
        """The number of turns that began in each iteration that had one."""
        rounds = [at for _, at in self.began]
        return [rounds.count(at) for at in dict.fromkeys(rounds)]


async def test_work_begins_at_once_while_there_is_time() -> None:
    rounds = Rounds()
    for name in "abc":
        rounds.work(name, MAX_TURN / 10)

    assert await rounds.run() == ["a", "b", "c"]
    assert rounds.in_one_round() == [3]
    assert not rounds.turns.over


async def test_work_waits_for_the_next_iteration_when_the_time_is_spent() -> None:
    rounds = Rounds()
    for name in "abc":
        rounds.work(name, MAX_TURN)

    assert await rounds.run() == ["a", "b", "c"]
    assert rounds.in_one_round() == [1, 1, 1]


async def test_short_turns_share_an_iteration_also_after_waiting() -> None:
    rounds = Rounds()
    rounds.work("first", MAX_TURN)
    for number in range(2 * MAX_RESUMED):
        rounds.work(f"{number:02}", MAX_TURN / 100)

    assert await rounds.run() == ["first", *(f"{number:02}" for number in range(2 * MAX_RESUMED))]
    assert rounds.in_one_round() == [1, MAX_RESUMED, MAX_RESUMED]


async def test_large_work_is_the_first_of_its_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "BYTES_PER_SECOND", float("inf"))
    rounds = Rounds()
    rounds.work("small", MAX_TURN / 10)
    rounds.work("large", MAX_TURN / 10, size=LARGE)
    rounds.work("later", MAX_TURN / 10)

    assert await rounds.run() == ["small", "large", "later"]
    assert rounds.in_one_round() == [1, 2]


async def test_small_work_need_not_wait_for_large_work_that_came_before() -> None:
    rounds = Rounds()
    rounds.work("first", MAX_TURN)
    for name in ("large 1", "large 2"):
        rounds.work(name, MAX_TURN, size=10 * LARGE)
    await asyncio.sleep(0)
    rounds.work("small", MAX_TURN)

    assert await rounds.run() == ["first", "small", "large 1", "large 2"]


async def test_work_that_is_cancelled_does_not_keep_others_waiting() -> None:
    rounds = Rounds()
    tasks = [rounds.work(str(number), MAX_TURN) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()

    assert await rounds.run() == ["0", "3"]
    await asyncio.sleep(0)
    assert not rounds.turns.over


async def test_the_loop_is_over_until_nothing_waits() -> None:
    rounds = Rounds()
    rounds.work("a", MAX_TURN)
    rounds.work("b", 0.0)
    await asyncio.sleep(0)
    over = rounds.turns.over
    await rounds.run()
    await asyncio.sleep(0)

    assert over
    assert not rounds.turns.over


async def test_pieces_share_a_turn_until_its_time_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(turns_module, "time", SimpleNamespace(monotonic=lambda: now))
    rounds, began = Rounds(), []

    def pieces() -> Generator[bool, None, str]:
        nonlocal now
        for _ in range(6):
            began.append(rounds.now)
            now += MAX_TURN / 2
            yield False
        return "done"

    task = asyncio.create_task(rounds.turns.perform(pieces()))
    while not task.done():
        await asyncio.sleep(0)
        rounds.now += 1

    assert task.result() == "done"
    assert [began.count(at) for at in dict.fromkeys(began)] == [2, 2, 2]


async def test_a_piece_that_cannot_be_divided_is_alone() -> None:
    rounds, began = Rounds(), []

    def pieces() -> Generator[bool, None, None]:
        for _ in range(3):
            began.append(rounds.now)
            yield True

    task = asyncio.create_task(rounds.turns.perform(pieces()))
    while not task.done():
        await asyncio.sleep(0)
        rounds.now += 1

    assert len(set(began)) == 3


async def let_go(turns: Turns) -> None:
    """Wait until nothing is left over of large bodies."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not turns.has_large_body


async def perform_large(
    turns: Turns, pieces: Generator[bool, None, Any], leftovers: list[Any]
) -> object:
    """Perform the pieces of work on a large body."""
    turns.begin_large()
    try:
        return await turns.perform(pieces)
    finally:
        turns.let_go(leftovers)


async def test_leftovers_are_let_go_of_between_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "MAX_FREEING", 0)
    rounds = Rounds()
    leftovers: list[object] = [[number] for number in range(5)]
    left: list[int] = []

    def work() -> Generator[bool, None, str]:
        yield False
        return "done"

    assert await perform_large(rounds.turns, work(), leftovers) == "done"
    assert len(leftovers) == 5
    while leftovers:
        await asyncio.sleep(0)
        left.append(len(leftovers))

    assert left[-3:] == [2, 1, 0]
    await rounds.turns.wait()


@pytest.mark.parametrize("fails", [False, True])
async def test_no_full_collection_begins_while_a_large_body_is_in_work(fails: bool) -> None:
    turns = Turns()
    enabled: list[bool] = []

    def work() -> Generator[bool, None, None]:
        for _ in range(3):
            enabled.append(gc.isenabled())
            yield True
        if fails:
            raise ValueError

    async def perform() -> None:
        with contextlib.suppress(ValueError):
            await perform_large(turns, work(), [])

    assert gc.isenabled()
    await asyncio.gather(perform(), perform())

    assert enabled == [False] * 6
    await let_go(turns)
    assert gc.isenabled()


async def test_a_long_list_is_let_go_of_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "MAX_FREEING", 0)
    monkeypatch.setattr(turns_module, "MAX_FREED", 2)
    rounds = Rounds()
    freed: list[int] = []

    class Entry:
        def __del__(self) -> None:
            freed[-1] += 1

    leftovers: list[object] = [[Entry() for _ in range(5)]]
    assert await perform_large(rounds.turns, (_ for _ in ()), leftovers) is None
    while leftovers:
        freed.append(0)
        await asyncio.sleep(0)

    assert [number for number in freed if number] == [2, 2, 1]


async def test_a_long_list_that_is_still_in_use_is_not_taken_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns_module, "MAX_FREED", 2)
    rounds = Rounds()
    kept = [1, 2, 3, 4, 5]
    leftovers: list[object] = [kept]

    await perform_large(rounds.turns, (_ for _ in ()), leftovers)
    await let_go(rounds.turns)

    assert (leftovers, kept) == ([], [1, 2, 3, 4, 5])


async def test_no_full_collection_begins_before_leftovers_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns_module, "MAX_FREEING", 0)
    turns = Turns()
    leftovers: list[object] = [[number] for number in range(5)]
    enabled: dict[int, bool] = {}

    await perform_large(turns, (_ for _ in ()), leftovers)
    for _ in range(10):
        if turns.has_large_body:
            enabled[len(leftovers)] = gc.isenabled()
        await asyncio.sleep(0)

    assert enabled == dict.fromkeys(range(5, -1, -1), False)
    assert gc.isenabled()


async def test_young_garbage_is_collected_while_a_large_body_is_in_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is before each turn of pieces that are short."""
    collected: list[object] = []
    at_pauses: list[int] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self
            weakref.finalize(self, collected.append, self.__class__)

    def work() -> Generator[bool, None, None]:
        Garbage()
        yield True
        at_pauses.append(len(collected))
        yield False
        at_pauses.append(len(collected))

    monkeypatch.setattr(turns_module, "MAX_TURN", 0)  # a pause ends the turn
    await perform_large(Turns(), work(), [])

    assert at_pauses == [0, 1]


async def test_divided_work_is_finished_and_what_remains_of_it_let_go() -> None:
    turns, leftovers = Turns(), [object()]

    def work() -> Generator[bool, None, str]:
        yield False
        assert not gc.isenabled()
        yield True
        return "done"

    assert await turns.finish(DividedWork(work(), leftovers)) == "done"
    await let_go(turns)
    assert (leftovers, gc.isenabled()) == ([], True)


@pytest.mark.parametrize("leftovers", [None, []])
async def test_work_in_one_piece_delays_no_collection(leftovers: list[Any] | None) -> None:
    turns = Turns()

    def work(pauses: int) -> Generator[bool, None, bool]:
        for _ in range(pauses):
            yield False
        return gc.isenabled()

    assert await turns.finish(DividedWork(work(0), leftovers))
    assert await turns.finish(DividedWork(work(3), leftovers)) is (leftovers is None)
    await let_go(turns)


async def test_a_loop_that_ends_leaves_no_collection_delayed() -> None:
    turns = Turns()
    leftovers: list[object] = [[number] for number in range(5)]
    await perform_large(turns, (_ for _ in ()), leftovers)
    assert not gc.isenabled()

    turns.stop()

    assert gc.isenabled()
    await perform_large(turns, (_ for _ in ()), [])
    assert gc.isenabled()
    await let_go(turns)


async def test_collections_that_are_off_stay_off() -> None:
    gc.disable()
    try:
        turns = Turns()
        await perform_large(turns, (_ for _ in ()), [])
        await let_go(turns)
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_a_thread_with_large_values_delays_full_collections() -> None:
    turns = Turns()
    with turns.beside(), turns.beside():
        assert turns.has_large_body
        assert gc.isenabled()  # young objects are collected, in whichever thread makes them
    assert not turns.has_large_body


class Entry:
    """What can be let go of."""


@pytest.mark.parametrize("number", [MAX_FREED, 3 * MAX_FREED])
async def test_many_entries_are_let_go_of_in_parts(number: int) -> None:
    turns = Turns()
    entries = [Entry() for _ in range(number)]
    known = weakref.WeakSet(entries)
    turns.let_go_of_many(entries)
    del entries

    assert len(known) == (number if number > MAX_FREED else 0)
    async with asyncio.timeout(PATIENCE):
        while len(known):  # noqa: ASYNC110  # until all are gone
            await asyncio.sleep(0)
        while turns.has_large_body:  # noqa: ASYNC110  # until that is known
            await asyncio.sleep(0)
    assert gc.isenabled()


def test_without_a_loop_many_entries_are_let_go_of_at_once() -> None:
    turns = Turns()
    turns.let_go_of_many([None] * 3 * MAX_FREED)
    assert not turns.has_large_body


async def test_each_of_some_entries_is_let_go_of_by_itself() -> None:
    turns = Turns()
    entries = [Entry() for _ in range(5)]
    known = weakref.WeakSet(entries)
    turns.let_go_of_each(entries)
    del entries

    assert (len(known), turns.has_large_body) == (5, True)
    async with asyncio.timeout(PATIENCE):
        while turns.has_large_body:  # noqa: ASYNC110  # until all are gone
            await asyncio.sleep(0)
    assert len(known) == 0


def test_without_a_loop_each_entry_is_let_go_of_at_once() -> None:
    turns, entries = Turns(), [Entry()]
    known = weakref.WeakSet(entries)
    turns.let_go_of_each(entries)
    del entries

    assert (len(known), turns.has_large_body) == (0, False)
