"""A store that is not performed at once, as if other processes used it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mockllm.state.operations import Operation, Result
from mockllm.state.store import LocalStore, StateUnavailableError


class DistantStore(LocalStore):
    """A store that performs operations when the loop has gone on, or fails with `error`. It counts
    the questions that waited in `waited`, and notes what was posted in `posted`."""

    def __init__(self, gone: Callable[[str], None] = lambda session: None) -> None:
        super().__init__(gone)
        self.error: StateUnavailableError | None = None
        self.waited = 0
        self.posted: list[Operation] = []

    def perform_at_once(self, operations: Sequence[Operation], now: float) -> None:  # type: ignore[override]  # never at once
        """Do nothing."""

    async def perform_later(self, operations: Sequence[Operation]) -> list[Result]:
        """Perform `operations` at the time 0 after others had their turn."""
        self.waited += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.perform(operations, 0.0)

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Perform `operations`, and note them."""
        self.posted += operations
        super().post(operations, now)
