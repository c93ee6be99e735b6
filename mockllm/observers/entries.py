"""Entries of the journal: what it keeps of a request, made or still to be made.

Most are never read, so that of a load only what differs is kept at first: see `Noted` and
`Repeated`. This module does not know how many are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from mockllm.engine.decision import (
    Answer,
    Delivery,
    End,
    Match,
    Outcome,
    Summary,
    Trouble,
)
from mockllm.exchange import Request
from mockllm.matching.explain import NearMiss
from mockllm.matching.rule import Rule
from mockllm.prompt import Earlier
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count

_new = tuple.__new__  # half the time of the class's own constructor

FindEarlier = Callable[[str, str], Earlier | None]
"""Returns the conversation that ends with the response with this id in this session; None if it is
not known."""


def find_nothing(response_id: str, session: str) -> None:
    """Know no response."""


class ToldError(Exception):
    """An exception in another process. Its text is the traceback there."""


class JournalEntry(NamedTuple):
    """A request as the journal keeps it: with what answered it, and its delivery. The `request` has
    at most the journal's number of bytes; `size` is that of the body as received."""

    request: Request
    size: int
    session: str
    status: int
    outcome: Outcome
    rule: Rule | None
    summary: Summary | None
    answer: Answer | None
    near_miss: NearMiss | None
    delivery: Delivery
    trouble: Trouble | None = None
    traffic: tuple[str, ...] = ()
    asked_for: tuple[str, ...] = ()

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1, as the client's SDK counts."""
        return parse_retry_count(self.request.first_values.get(RETRY_COUNT)) + 1

    @property
    def is_first(self) -> bool:
        """True unless the request is a marked retry, a probe or a preflight."""
        return self.attempt == 1 and self.outcome not in NOT_CALLS


NOT_CALLS = frozenset({Outcome.PROBE, Outcome.PREFLIGHT})
"""The outcomes of requests that no code under test means to send."""


class Kept(NamedTuple):
    """An entry of a journal, with about what it costs in bytes, and its number."""

    entry: JournalEntry
    cost: int
    number: int

    def begun(self, started: float) -> Kept:
        """Return the same with a request that was complete at another time."""
        delivery = self.entry.delivery._replace(started=started)
        return self._replace(entry=self.entry._replace(delivery=delivery))


class Repeated(NamedTuple):
    """An entry that was not made yet: the request was answered as that of `first`, at once, and
    was complete at the time `started`."""

    first: Kept
    cost: int
    number: int
    started: float

    @property
    def kept(self) -> Kept:
        """The entry, made now."""
        entry, cost, _ = self.first
        delivery = _new(Delivery, (0.0, 0.0, 0.0, End.COMPLETE, self.started, "", 0))
        made = _new(JournalEntry, (*entry[:_DELIVERY], delivery, *entry[_DELIVERY + 1 :]))
        return _new(Kept, (made, cost, self.number))


Noted = tuple[Request, int, int, str, int, Match, float, float]
"""An entry that was not made yet, of a request that a mock answered at once: the request, the cost,
the number, the session, the status, the match, the time at which the request was complete, and the
seconds from then until it was decided. A plain tuple, because an object takes three times as long.
"""

AnyKept = Kept | Repeated | Noted
COST: Final = 1  # its place in each of them
NUMBER: Final = 2
SESSION: Final = 3  # its place in a Noted
_MATCH: Final = 5
_DELIVERY = JournalEntry._fields.index("delivery")


def get_number(kept: AnyKept) -> int:
    """Return the number of an entry, by which entries are sorted."""
    return kept[NUMBER]


def session_of(each: AnyKept) -> str:
    """Return the session of an entry."""
    if isinstance(each, Repeated):
        return each.first.entry.session
    return each.entry.session if isinstance(each, Kept) else each[SESSION]


def rule_of(each: AnyKept) -> Rule | None:
    """Return the rule of the mock that answered."""
    if isinstance(each, Repeated):
        return each.first.entry.rule
    return each.entry.rule if isinstance(each, Kept) else each[_MATCH].rule


def is_first(each: AnyKept) -> bool:
    """Return what `JournalEntry.is_first` is of an entry."""
    if isinstance(each, Repeated):
        return each.first.entry.is_first
    if isinstance(each, Kept):
        return each.entry.is_first
    request, outcome = each[0], each[_MATCH].outcome
    retries = parse_retry_count(request.first_values.get(RETRY_COUNT))
    return not retries and outcome not in NOT_CALLS


def make_kept(each: AnyKept) -> Kept:
    """Return an entry, made now unless it is."""
    if isinstance(each, Kept):
        return each
    return each.kept if isinstance(each, Repeated) else _of_noted(each)


def _of_noted(noted: Noted) -> Kept:
    """Return the entry of what was noted."""
    request, cost, number, session, status, match, started, decided = noted
    delivery = Delivery(decided, decided, decided, started=started)
    entry = make_entry(request, len(request.body), session, status, match, delivery)
    return Kept(entry, cost, number)


def make_entry(
    request: Request, size: int, session: str, status: int, match: Match, delivery: Delivery
) -> JournalEntry:
    """Return the entry of an exchange whose body had so many bytes."""
    outcome, _, _, rule, summary, answer, _, near_miss, trouble, traffic, asked_for, _ = match
    if outcome is Outcome.GENERATED:  # vectors, which have no tokens, and are large
        answer = None
    of_request = (request, size, session, status, outcome, rule, summary)
    return _new(
        JournalEntry, (*of_request, answer, near_miss, delivery, trouble, traffic, asked_for)
    )
