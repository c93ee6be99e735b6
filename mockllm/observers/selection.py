"""Selects calls of a journal: by their session, mock, API, and whether a mock answered."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, Self

from mockllm.engine.added import LIST, id_of
from mockllm.observers.calls import Call
from mockllm.observers.entries import Kept
from mockllm.observers.journal import Journal

CALLS_AT_ONCE = 200  # calls that are looked at without a pause: 1 to 2 ms
_ID = re.compile(rf"{LIST}\[\d{{1,15}}\]", re.ASCII)


class CallSelection(NamedTuple):
    """The calls of a session, or of all if that is None, that a mock with this name or id has
    answered, are requests to this API, and are `unmatched` or not. Of what is None, all are meant.
    """

    session: str | None = None
    mock: str | None = None
    api: str | None = None
    unmatched: bool | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the selection that `to_dict` wrote."""
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """Return the selection as JSON."""
        return self._asdict()

    @property
    def is_whole(self) -> bool:
        """True if all calls of the session are meant, or all of all sessions."""
        return self.mock is None and self.api is None and self.unmatched is None

    def accepts(self, call: Call) -> bool:
        """Return True if a call of the session is meant."""
        return (
            (self.mock is None or self.mock in (call.mock, mock_id(call)))
            and (self.api is None or call.api == self.api)
            and (self.unmatched is None or call.is_unmatched == self.unmatched)
        )

    def means(self, kept: Kept, journal: Journal) -> bool:
        """Return True if an entry is meant, of which `journal` makes a call."""
        return self.session in (None, kept.entry.session) and self.accepts(journal.call(kept))

    def drop_from(self, journal: Journal, upto: int | None = None) -> Generator[None, None, None]:
        """Drop the calls that are meant from `journal`, with a pause after each `CALLS_AT_ONCE`:
        those with numbers of at most `upto`, or all of this moment."""
        if self.is_whole:
            journal.clear(self.session, upto)
            return
        dropped: set[int] = set()
        for place, call in enumerate(journal.read_after(0, self.session), 1):
            if (upto is None or call.number <= upto) and self.accepts(call):
                dropped.add(call.number)
            if place % CALLS_AT_ONCE == 0:
                yield
        journal.drop(dropped)


def mock_id(call: Call) -> str | None:
    """Return what tells the mock that answered from all others; None if none did."""
    return None if call.rule is None else id_of(call.rule)


def is_id(name: str) -> bool:
    """Return True if `name` is the id of a mock that was added, or has the form of one."""
    return _ID.fullmatch(name) is not None


def number_of(mock_id: str) -> int:
    """Return the number of a mock that was added, by its id."""
    return int(mock_id[len(LIST) + 1 : -1])
