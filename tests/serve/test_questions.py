"""What remains of a large body is let go of when nothing goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from mockllm.engine.decision import Decision, DividedWork, Question
from mockllm.serve.questions import Questions
from mockllm.serve.turns import Turns
from mockllm.state.operations import Reset
from tests.support.engines import ask

pytestmark = pytest.mark.anyio


async def _ask(first: DividedWork, others: list[Any], turns: Turns) -> Decision:
    """Ask a question about `first`, then those about the `others`."""

    def resume(results: Any) -> Decision | Question:
        return Question((others.pop(0),), resume) if others else decision

    async def perform(operations: Any) -> Any:
        return [None for _ in operations]

    decision = ask("GET", "/nothing")
    service: Any = SimpleNamespace(turns=turns, perform=perform)
    wire: Any = None
    return await Questions(service, wire, lambda admission: None).resolve(
        Question((first,), resume)
    )


async def test_leftovers_are_kept_until_divided_work_that_follows_is_done() -> None:
    turns = Turns()
    leftovers: list[Any] = [[1], [2]]
    seen: list[int] = []

    def begins() -> Generator[bool, None, None]:
        yield False

    def goes_on() -> Generator[bool, None, None]:
        for _ in range(3):
            yield True
            seen.append(len(leftovers))

    await _ask(DividedWork(begins(), leftovers), [DividedWork(goes_on())], turns)

    assert seen == [2, 2, 2]
    assert turns.has_large_body
    for _ in range(5):
        await asyncio.sleep(0)
    assert leftovers == []
    assert not turns.has_large_body


async def test_leftovers_are_let_go_of_before_anything_else_is_waited_for() -> None:
    turns = Turns()
    leftovers: list[Any] = [[1], [2]]

    def begins() -> Generator[bool, None, None]:
        yield False

    def goes_on() -> Generator[bool, None, None]:
        for _ in range(5):
            yield True
        assert leftovers == []

    wait = Reset()
    await _ask(DividedWork(begins(), leftovers), [wait, DividedWork(goes_on())], turns)

    assert not turns.has_large_body
