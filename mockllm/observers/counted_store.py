"""Counts the operations of a store for metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mockllm.observers.metrics import Meter
from mockllm.state.operations import Operation, Result
from mockllm.state.store import Store


class CountedStore:
    """A `store` whose operations are counted by `meter`: what is performed of a question."""

    def __init__(self, store: Store, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    @property
    def when_called(self) -> Callable[[str], None]:
        """That of the store."""
        return self._store.when_called

    @when_called.setter
    def when_called(self, call: Callable[[str], None]) -> None:
        self._store.when_called = call

    def listen(self) -> None:
        """Have the store listen."""
        self._store.listen()

    def perform_at_once(
        self, operations: Sequence[Operation], now: float
    ) -> Sequence[Result] | None:
        """Return what the store does."""
        results = self._store.perform_at_once(operations, now)
        if results is not None:
            self._meter.count_operations(operations[: len(results)])
        return results

    async def perform_later(self, operations: Sequence[Operation]) -> Sequence[Result]:
        """Return what the store does."""
        results = await self._store.perform_later(operations)
        self._meter.count_operations(operations[: len(results)])
        return results

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Do what the store does."""
        self._meter.count_operations(operations)
        self._store.post(operations, now)
