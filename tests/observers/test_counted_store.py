"""The operations of a store, as they are counted."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.observers.counted_store import CountedStore
from mockllm.observers.metric_cells import (
    OPERATIONS,
    OPERATIONS_AT,
)
from mockllm.state.operations import Choose, Enter, Get, Leave, Put, Spend
from mockllm.state.store import LocalStore
from tests.support.metered import Metered


def test_operations_are_counted_and_performed() -> None:
    metered = Metered()
    store = CountedStore(LocalStore(), metered.meter)
    results = store.perform_at_once((Put("key", b"value", 5.0), Get("key")), 0.0)
    store.post((Put("other", b"", 5.0),), 0.0)

    assert results == [None, b"value"]
    counts = metered.sums.scalars[OPERATIONS_AT : OPERATIONS_AT + len(OPERATIONS)]
    counted = {kind: count for kind, count in zip(OPERATIONS, counts, strict=True) if count}
    assert counted == {Put: 2, Get: 1}
    assert Choose in OPERATIONS


def test_the_store_calls_whom_its_user_has_named() -> None:
    inner = LocalStore()
    store = CountedStore(inner, Metered().meter)
    called: list[str] = []
    store.when_called = called.append
    store.listen()

    inner.perform((Enter("pool", "one", 1, None), Enter("pool", "other", 1, None)), 0.0)
    inner.perform((Leave("one"),), 0.0)

    assert called == ["other"]


class DistantStore(LocalStore):
    """A store that cannot perform at once."""

    def perform_at_once(self, operations: Any, now: float) -> Any:
        return None

    async def perform_later(self, operations: Any) -> Any:
        return self.perform(operations, 0.0)


@pytest.mark.anyio
async def test_operations_of_a_distant_store_are_counted_when_they_are_performed() -> None:
    metered = Metered()
    store = CountedStore(DistantStore(), metered.meter)
    operations = (Spend((), 0.0), Get("key"))

    assert store.perform_at_once(operations, 0.0) is None
    await store.perform_later(operations)
    refused = (Enter("pool", "one", 1), Enter("pool", "other", 1), Get("key"))
    await store.perform_later(refused)
    counts = metered.sums.scalars[OPERATIONS_AT : OPERATIONS_AT + len(OPERATIONS)]
    counted = {kind: count for kind, count in zip(OPERATIONS, counts, strict=True) if count}
    assert counted == {Spend: 1, Get: 1, Enter: 2}
