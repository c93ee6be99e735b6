"""Readings of what many processes have, one after the other.

Whoever asks while a reading is made waits for the next one, with all others who do: what it finds
must be of a moment after the question. What was read is kept for the next reading, until nobody has
asked for a while: it may be as large as a journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

MAX_UNUSED = 60.0  # seconds after which what was read is dropped

Found = TypeVar("Found")


class Rounds(Generic[Found]):
    """The readings that `read` makes. What it keeps is dropped by `drop`."""

    def __init__(self, read: Callable[[], Awaitable[Found]], drop: Callable[[], None]) -> None:
        self._read = read
        self._drop = drop
        self._next: asyncio.Future[Found] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._unused: asyncio.TimerHandle | None = None
        self._waiting = 0
        """How many wait for a reading."""

    async def next(self) -> Found:
        """Return what a reading finds that begins now or later."""
        self.keep()
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        found = self._next
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        self._waiting += 1
        try:
            return await asyncio.shield(found)
        finally:
            self._waiting -= 1

    def keep(self) -> None:
        """Keep what was read for another while."""
        if self._unused is not None:
            self._unused.cancel()
        self._unused = asyncio.get_running_loop().call_later(MAX_UNUSED, self._drop_unused)

    def stop(self) -> None:
        """End a reading that is made, and drop nothing any more."""
        for each in (self._unused, self._worker):
            if each is not None:
                each.cancel()

    def _drop_unused(self) -> None:
        if self._worker is None and not self._waiting:
            self._drop()

    async def _work(self) -> None:
        """Make one reading after the other, as long as somebody waits for one."""
        while self._next is not None:
            found, self._next = self._next, None
            try:
                found.set_result(await self._read())
            except Exception as exc:
                found.set_exception(exc)
                found.exception()  # nobody may wait any more
        self._worker = None
