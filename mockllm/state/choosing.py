"""Chooses which mock answers a request, and which entry of it.

A script is the list of answers that a mock gives in order. How far it has come is one number: how
often the mock has answered in a session. Everything here is a function of scripts and such numbers;
`state.store` remembers them. `state.specification` has the same rule in its obvious form.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

_new = tuple.__new__  # half the time of the class's own constructor


class AtEnd(Enum):
    """What follows the last entry of a script. The values are those of ``at_end`` in a mock."""

    FAIL = "fail"
    """The request fails: no later mock may answer it."""
    PASS = "pass"  # noqa: S105  # a word of the configuration
    """The mock no longer matches, and the next one may."""
    REPEAT = "repeat"
    """The last entry, for ever."""
    RESTART = "restart"


class ScriptEntry(NamedTuple):
    """An answer of a script, given `times` times; for ever if that is None.

    `advances_retry` is true if a marked retry takes the next place instead of repeating this entry:
    one meant to fail or to be late (an error, a fault, a latency of its own), and one with
    ``"retry": "next"``.
    """

    times: int | None = 1
    advances_retry: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The entries of a mock, in order. Only the last one may be given for ever.

    A script that restarts does so with the entry at `restart_at`; those before it are not repeated
    (``first`` beside a ``sequence``).
    """

    entries: tuple[ScriptEntry, ...]
    at_end: AtEnd = AtEnd.FAIL
    restart_at: int = 0
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """For each entry that ends, the number of answers up to its last one: times 2, 1, always are
    2, 3."""

    def __post_init__(self) -> None:
        *limited, last = self.entries
        times = [entry.times for entry in limited if entry.times is not None]
        assert len(times) == len(limited), "only the last entry may be given for ever"
        if last.times is not None:
            times.append(last.times)
        assert all(number >= 1 for number in times)
        assert 0 <= self.restart_at < len(self.entries)
        object.__setattr__(self, "_ends", tuple(accumulate(times)))

    def entry_at(self, taken: int) -> int | None:
        """Return the index of the entry that follows `taken` answers; None if the script is over
        (`AtEnd.FAIL`, `AtEnd.PASS`)."""
        ends = self._ends
        if len(ends) < len(self.entries) or taken < ends[-1]:
            return bisect_right(ends, taken)
        if self.at_end is AtEnd.REPEAT:
            return len(ends) - 1
        if self.at_end is AtEnd.RESTART:
            start = self.first_answer(self.restart_at)
            return bisect_right(ends, start + (taken - ends[-1]) % (ends[-1] - start))
        return None

    @property
    def total(self) -> int | None:
        """The number of answers until it is over or goes on as `at_end` says; None if its last
        entry is given for ever."""
        return self._ends[-1] if len(self._ends) == len(self.entries) else None

    def first_answer(self, entry: int) -> int:
        """Return how many answers come before those of this entry."""
        return self._ends[entry - 1] if entry else 0


class Candidate(NamedTuple):
    """A mock that matches a request: the key of its state (`state.keys`), and its script; None for
    a mock without state, which always answers."""

    key: str
    script: Script | None = None


class Chosen(NamedTuple):
    """The mock that answers, by its index among the candidates, and the index of its entry.

    `number` is the place in the mock's own count, from 1: the third answer that it gives in this
    session; 0 for a mock without state. A marked retry that is `repeated` has the number of the
    attempt before it.
    """

    candidate: int
    entry: int = 0
    number: int = 0
    repeated: bool = False


class Exhausted(NamedTuple):
    """A script is over, and its mock lets no later one answer. It has given `answers`."""

    candidate: int
    answers: int


class NoneLeft(NamedTuple):
    """No candidate answers: the scripts of all are over."""


NONE_LEFT = NoneLeft()

Choice = Chosen | Exhausted | NoneLeft


def choose(candidates: Sequence[Candidate], answered: Mapping[str, int]) -> Choice:
    """Return the first candidate that answers; `answered` has how often the one with a key has
    answered, if it has."""
    for place, (key, script) in enumerate(candidates):
        if script is None:
            return Chosen(place)
        count = answered.get(key, 0)
        entry = script.entry_at(count)
        if entry is not None:
            return _new(Chosen, (place, entry, count + 1, False))
        if script.at_end is not AtEnd.PASS:
            return Exhausted(place, count)
    return NONE_LEFT


def repeat(candidates: Sequence[Candidate], key: str, number: int) -> Chosen | None:
    """Return what a marked retry gets after an attempt that was the answer `number` of the mock
    with this `key`. None if it chooses anew: the entry says so, or the mock is no candidate any
    more, or after a reload has fewer answers.
    """
    for place, candidate in enumerate(candidates):
        if candidate.key != key:
            continue
        script = candidate.script
        if script is None:
            return Chosen(place, repeated=True)
        entry = script.entry_at(number - 1) if number else None
        if entry is None or script.entries[entry].advances_retry:
            return None
        return Chosen(place, entry, number, repeated=True)
    return None
