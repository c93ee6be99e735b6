"""The calls of a server that has one process, for its control API."""

from __future__ import annotations

import asyncio

from mockllm.observers.journal import Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.serve.waiting import wait_for_count


class OwnCalls:
    """The calls that one journal has. It is used in the loop of its server."""

    def __init__(self, journal: Journal, *, missing: str = "") -> None:
        """`missing` says why there are calls that the journal does not have."""
        self._journal = journal
        self._missing = missing

    def read(self, session: str | None) -> Reading:
        """Return those of a session, or of all."""
        return Reading.of(self._journal, session)._replace(missing=self._missing)

    async def gather(self, session: str | None, after: int | None = None) -> Reading:
        """Return what `read` does: there are no others."""
        return self.read(session)

    async def wait(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until there are `count` calls of a session, or of all. Returns False if there are
        not after `timeout` seconds."""
        return await wait_for_count(self._journal, session, count, timeout)

    async def clear(self, selection: CallSelection) -> None:
        """Drop those that are meant, a few at a time."""
        for _ in selection.drop_from(self._journal):
            await asyncio.sleep(0)

    @property
    def last_number(self) -> int:
        """The highest number of a call so far; 0 if there was none."""
        return self._journal.last_number

    def forget(self, session: str, upto: int) -> None:
        """Drop those of a session with numbers of at most `upto`."""
        self._journal.clear(session, upto)
