"""What several processes see of one store, without processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mockllm.state.operations import Enter, Leave, Operation, Result
from mockllm.state.store import LocalStore, StateUnavailableError


class View:
    """A store as one process sees it that shares it with others: its leases are its own. It
    `is_far` if it is never asked at once; then it may fail with `error`, and answers once
    `is_open`. One that `is_deaf` hears of no places. What it was `asked` is counted."""

    def __init__(self, views: Views, name: str) -> None:
        self._views = views
        self._name = name
        self.is_far = self.is_deaf = False
        self.error: StateUnavailableError | None = None
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.asked = 0
        self.when_called: Callable[[str], None] = lambda lease: None

    def listen(self) -> None:
        """Do nothing: it listens."""

    def perform_at_once(
        self, operations: Sequence[Operation], now: float
    ) -> Sequence[Result] | None:
        return None if self.is_far else self._perform(operations, now)

    async def perform_later(self, operations: Sequence[Operation]) -> Sequence[Result]:
        await asyncio.sleep(0)
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        return self._perform(operations, 0.0)

    def post(self, operations: Sequence[Operation], now: float) -> None:
        self._perform(operations, now)

    def _perform(self, operations: Sequence[Operation], now: float) -> Sequence[Result]:
        self.asked += 1
        return self._views.store.perform([*map(self._with_full_name, operations)], now)

    def _with_full_name(self, operation: Operation) -> Operation:
        if isinstance(operation, Enter | Leave):
            return operation._replace(lease=f"{self._name} {operation.lease}")
        return operation


class Views(dict[str, View]):
    """The views of one store, by the names of the processes."""

    def __init__(self, *names: str) -> None:
        super().__init__({name: View(self, name) for name in names})
        self.store = LocalStore()
        self.store.when_called = self._call

    def _call(self, lease: str) -> None:
        name, _, own = lease.partition(" ")
        if not self[name].is_deaf:
            self[name].when_called(own)

    @property
    def taken(self) -> int:
        """The number of places that are taken, and of those in lines."""
        return len(self.store.leases)
