"""The result of reading calls, in the journal of one process or in those of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mockllm.observers.calls import Call
from mockllm.observers.journal import Journal, JournalSnapshot, Record


class Reading(NamedTuple):
    """The calls of a session, or of all if that is None, as a `journal` has them at this moment.

    `lost` calls are not there any more, because there was no room for them. `missing` says why
    others may not be there; it is empty if all are. Calls with numbers of at most `known_upto` will
    not be found later; if that is None, it holds for all.
    """

    journal: Journal
    session: str | None
    lost: int
    missing: str = ""
    known_upto: int | None = None

    @classmethod
    def of(cls, journal: Journal, session: str | None) -> Reading:
        """Return the reading of the only journal of a server."""
        return cls(journal, session, journal.read_lost(session))

    def snapshot(self) -> JournalSnapshot:
        """Return the calls of this moment for `record`."""
        return self.journal.snapshot(self.session)._replace(lost=self.lost)

    def record(self, snapshot: JournalSnapshot, held: Mapping[str, int]) -> Record:
        """Return the calls for verification, with the number of answers that are held at gates. It
        may be done in another thread."""
        return self.journal.record(snapshot)._replace(held=held, missing=self.missing)

    def after(self, number: int) -> Iterator[Call]:
        """Return the calls with numbers above `number`, in the order in which they ended."""
        return self.journal.read_after(number, self.session)

    def has_large(self, after: int, size: int) -> bool:
        """Return True if one of the calls with numbers above `after` has more than so many
        bytes."""
        return self.journal.has_large(after, self.session, size)

    def count_by_mock(self) -> Mapping[str, int]:
        """Return the number of requests that each mock answered, by its id."""
        return self.journal.count_by_mock(self.session)
