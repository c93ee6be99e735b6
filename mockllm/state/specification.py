"""The specification of choosing and of rate limits: simple and slow.

It keeps every attempt since the last reset, goes through the mocks by hand, and counts what was
taken whenever it is asked; of a bucket it keeps all that was charged and given back. `state.store`
gives the same answers faster, as a state machine of tests verifies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, pairwise, repeat

from mockllm.state.attempts import Attempt
from mockllm.state.choosing import (
    NONE_LEFT,
    AtEnd,
    Candidate,
    Choice,
    Chosen,
    Exhausted,
    Script,
)
from mockllm.state.rate_limits import Limit


@dataclass(eq=False)
class _Event:
    """An attempt, and what it took: the place `number` of the mock with this key, or nothing."""

    attempt: Attempt
    key: str | None = None
    number: int = 0
    repeated: bool = False
    followed: bool = False


@dataclass
class History:
    """All attempts of one session since it began, in order."""

    _events: list[_Event] = field(default_factory=list)

    def choose(self, candidates: Sequence[Candidate], attempt: Attempt) -> Choice:
        """Return what answers `attempt`, and append it."""
        before = self._follow(attempt)
        choice = None if before is None else self._repeated(candidates, before)
        if choice is None:
            choice = self._next(candidates)
        if isinstance(choice, Chosen):
            key = candidates[choice.candidate].key
            self._events.append(_Event(attempt, key, choice.number, choice.repeated))
        else:
            self._events.append(_Event(attempt))
        return choice

    def take_nothing(self, attempt: Attempt) -> None:
        """Append an attempt that was answered before anything was chosen."""
        self._follow(attempt)
        self._events.append(_Event(attempt))

    def reset(self, keys: Collection[str] | None = None) -> None:
        """Let everything begin anew, or only the mocks with these keys."""
        if keys is None:
            self._events.clear()
        for event in self._events:
            if event.key in (keys or ()):
                event.key = None

    def count(self, key: str) -> int:
        """Return how many answers of the mock with this key were taken."""
        return sum(
            event.key == key and event.number > 0 and not event.repeated for event in self._events
        )

    def _follow(self, attempt: Attempt) -> _Event | None:
        """Return the attempt that this one retries, which no other can retry any more."""
        if not attempt.retry:
            return None
        same = [
            event
            for event in self._events
            if event.attempt.request == attempt.request and not event.followed
        ]
        one_less = [event for event in same if event.attempt.retry == attempt.retry - 1]
        if not same:
            return None
        before = (one_less or same)[-1]
        before.followed = True
        return before

    def _repeated(self, candidates: Sequence[Candidate], before: _Event) -> Choice | None:
        for place, (key, script) in enumerate(candidates):
            if key == before.key:
                if script is None:
                    return Chosen(place, repeated=True)
                entries = list_of(script, before.number)
                if not 1 <= before.number <= len(entries):
                    return None
                entry = entries[before.number - 1]
                if script.entries[entry].advances_retry:
                    return None
                return Chosen(place, entry, before.number, repeated=True)
        return None

    def _next(self, candidates: Sequence[Candidate]) -> Choice:
        for place, (key, script) in enumerate(candidates):
            if script is None:
                return Chosen(place)
            count = self.count(key)
            entries = list_of(script, count + 1)
            if count < len(entries):
                return Chosen(place, entries[count], count + 1)
            if script.at_end is AtEnd.FAIL:
                return Exhausted(place, count)
        return NONE_LEFT


def list_of(script: Script, length: int) -> list[int]:
    """Return the indices of a script's entries as a list gone through from the start: at least
    `length` long unless the script is over before."""
    lists = [
        [index] * (length if entry.times is None else entry.times)
        for index, entry in enumerate(script.entries)
    ]
    once = list(chain.from_iterable(lists))
    if script.at_end is AtEnd.REPEAT:
        return list(islice(chain(once, repeat(once[-1])), max(length, len(once))))
    if script.at_end is AtEnd.RESTART:
        again = cycle(chain.from_iterable(lists[script.restart_at :]))
        return list(islice(chain(once, again), max(length, len(once))))
    return once


@dataclass
class Ledger:
    """All that was charged to one bucket, and given back, in order."""

    _entries: list[tuple[float, float]] = field(default_factory=list)

    def level(self, limit: Limit, now: float) -> float:
        """Return what is used at the time `now`: what was charged, less what comes back with time,
        never less than nothing."""
        level = 0.0
        entries = [*self._entries, (now, 0.0)]
        for (since, amount), (at, _) in pairwise(entries):
            level = max(level + amount - limit.amount * (at - since) / limit.window, 0.0)
        return level

    def charge(self, cost: float, now: float) -> None:
        """Append what a request was charged."""
        self._entries.append((now, cost))

    def settle(self, limit: Limit, charged: float, cost: float, since: float, now: float) -> None:
        """Append what comes back of a request that was `charged` at the time `since`: all that it
        did not `cost`, less what has come back with time."""
        by_now = limit.amount * (now - since) / limit.window
        not_cost = max(charged - max(cost, by_now), 0.0)
        self._entries.append((now, -min(not_cost, self.level(limit, now))))
