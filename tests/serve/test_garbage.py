"""Full collections of garbage wait for paced answers, but not for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from mockllm.engine.added import compile_added
from mockllm.engine.blocks import Blocks
from mockllm.pieces import finish
from mockllm.serve.garbage import (
    MAX_KEPT,
    MAX_WORKED,
    MIN_GROWN,
    MIN_KEPT,
    PAUSE,
    GarbageCollector,
)


class Heap:
    """Stands for the interpreter's: how much was kept, and how often it was searched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.kept = 0
        self.is_pacing = False
        self.takes_long = False
        self.collections = 0
        self.seconds = 0.0  # that a collection takes
        monkeypatch.setattr(gc, "get_count", lambda: (0, 0, self.kept))
        monkeypatch.setattr(gc, "collect", self._collect)
        self.collector = GarbageCollector(
            lambda: self.is_pacing, lambda: self.takes_long, now=lambda: self.now
        )

    def _collect(self) -> None:
        self.collections += 1
        self.kept = 0
        self.now += self.seconds


@pytest.fixture
def heap(monkeypatch: pytest.MonkeyPatch) -> Heap:
    return Heap(monkeypatch)


@pytest.mark.parametrize(
    ("kept", "is_pacing", "collections"),
    [
        (MIN_KEPT - 1, False, 0),
        (MIN_KEPT, False, 1),
        (MIN_KEPT, True, 0),
        (MAX_KEPT - 1, True, 0),
        (MAX_KEPT, True, 1),
        (MAX_KEPT, False, 1),
    ],
)
def test_a_collection_waits_while_answers_are_paced_and_little_is_kept(
    heap: Heap, kept: int, is_pacing: bool, collections: int
) -> None:
    heap.kept, heap.is_pacing = kept, is_pacing
    heap.collector.poll()
    assert heap.collections == collections


@pytest.mark.parametrize("is_pacing", [False, True])
@pytest.mark.parametrize(
    ("kept", "collections"), [(MIN_KEPT, 0), (MAX_KEPT, 0), (MAX_WORKED - 1, 0), (MAX_WORKED, 1)]
)
def test_turns_of_a_large_body_make_no_collection_due(
    heap: Heap, kept: int, is_pacing: bool, collections: int
) -> None:
    heap.kept, heap.is_pacing, heap.takes_long = kept, is_pacing, True
    heap.collector.poll()
    assert heap.collections == collections

    heap.takes_long = False
    heap.is_pacing = False
    heap.collector.poll()
    assert heap.collections == 1


def test_what_was_put_off_is_done_when_the_last_answer_ends(heap: Heap) -> None:
    heap.kept, heap.is_pacing = MIN_KEPT, True
    heap.collector.poll()
    heap.is_pacing = False
    heap.collector.poll()
    assert heap.collections == 1


def test_collections_take_a_hundredth_of_the_time(heap: Heap) -> None:
    heap.seconds = 0.1
    heap.kept = MAX_KEPT
    heap.collector.poll()

    heap.kept = MAX_KEPT
    heap.now = 0.1 + 0.1 * PAUSE - 0.01
    heap.collector.poll()
    assert heap.collections == 1

    heap.now += 0.02
    heap.collector.poll()
    assert heap.collections == 2


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    found = gc.get_threshold()
    yield found
    gc.set_threshold(*found)


def test_the_interpreter_collects_young_objects_as_ever(threshold: tuple[int, int, int]) -> None:
    collector = GarbageCollector(lambda: False)
    collector.start()
    assert gc.get_threshold()[:2] == threshold[:2]
    assert gc.get_threshold()[2] > 1_000_000
    collector.stop()
    assert gc.get_threshold() == threshold


def test_a_cycle_that_was_kept_is_freed(threshold: tuple[int, int, int]) -> None:
    """By a real collection: with the counts of the interpreter."""
    freed: list[bool] = []

    class Node:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            freed.append(True)

    collector = GarbageCollector(lambda: False)
    collector.start()
    node = Node()
    for _ in range(MIN_KEPT + 2):
        gc.collect(1)  # kept: it is old now
    del node
    assert freed == []
    collector.poll()
    assert freed == [True]
    collector.stop()


def test_many_mocks_that_were_added_are_left_out_of_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grown, is_loading, done = 0, False, list[str]()
    monkeypatch.setattr(gc, "collect", lambda generation=2: done.append(f"collect {generation}"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 0))
    collector = GarbageCollector(lambda: False, lambda: is_loading, lambda: grown)

    grown = MIN_GROWN - 1
    collector.poll()
    assert done == []
    grown, is_loading = MIN_GROWN, True
    collector.poll()
    assert done == []
    is_loading = False
    for _ in range(2):
        collector.poll()
    assert done == ["collect 1", "freeze"]
    grown = 2 * MIN_GROWN
    collector.poll()
    assert done == ["collect 1", "freeze"] * 2


@pytest.mark.parametrize("words", [{"user": "q", "reply": "x"}, {"sequence": ["x", "y"]}])
def test_mocks_that_are_removed_leave_no_garbage(words: dict[str, Any]) -> None:
    """Those that are left out of collections could not be freed otherwise."""

    def add_and_remove(numbers: Iterable[int]) -> weakref.ref[Any]:
        known = Blocks()
        known.add_all([compile_added(words, number) for number in numbers])
        finish(known.build("openai"))
        return weakref.ref(next(known.parts("openai")).rules)

    gc.disable()
    try:
        assert add_and_remove(range(50))() is None
        gc.collect()
        add_and_remove(range(50, 100))
        assert gc.collect() == 0
    finally:
        gc.enable()
