"""Workers that are apps in one loop, and reach each other as processes do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from mockllm.serve.peers import Peers, Switchboard


class Worker(Protocol):
    """One of them."""

    peers: Peers

    async def close(self) -> None:
        """End the process."""


W = TypeVar("W", bound=Worker)


@asynccontextmanager
async def working(*makes: Callable[[Switchboard, int], W]) -> AsyncIterator[list[W]]:
    """The workers that were made for the slots of one switchboard. Those that are in the list at
    the end are closed."""
    board = Switchboard(len(makes))
    workers = [make(board, slot) for slot, make in enumerate(makes)]
    try:
        for worker in workers:
            await worker.peers.start()
        yield workers
    finally:
        for worker in workers:
            await worker.close()
        board.close()
