"""Conditions made of others: all of them hold, one of them, or one does not.

What cannot be decided stays so unless another condition decides: a condition that cannot be decided
does not hold, and its negation does not hold either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from mockllm.matching.closeness import ONLY_REQUEST
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.prompt import Prompt


@dataclass(frozen=True, slots=True)
class _Several(Predicate):
    """Several conditions at once, and what is the same whichever of them have to hold."""

    conditions: tuple[Predicate, ...]

    @property
    def header_names(self) -> tuple[bytes, ...]:
        return tuple({name: None for each in self.conditions for name in each.header_names})

    @property
    def looks_back(self) -> bool:
        return any(condition.looks_back for condition in self.conditions)

    @property
    def readings(self) -> tuple[Callable[[Prompt], Any], ...]:
        return tuple(read for condition in self.conditions for read in condition.readings)

    def work(self, prompt: Prompt) -> int:
        return sum(condition.work(prompt) for condition in self.conditions)

    @property
    def is_slow(self) -> bool:
        return any(condition.is_slow for condition in self.conditions)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        for condition in self.conditions:
            yield from condition.decide_in_pieces(prompt, headers, effort)


@dataclass(frozen=True, slots=True)
class AllOf(_Several):
    """All `conditions` hold; so does a list of none."""

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        undecided: Difference | None = None
        for condition in self.conditions:
            difference = condition.difference(prompt, headers, closer_than=closer_than)
            if difference is None:
                continue
            if not difference.undecided:
                return difference
            undecided = undecided or difference
        return undecided

    def covers(self, later: Predicate) -> bool:
        implied = later.conditions if isinstance(later, AllOf) else (later,)
        return all(any(each.covers(one) for one in implied) for each in self.conditions)


@dataclass(frozen=True, slots=True)
class AnyOf(_Several):
    """One of `conditions` holds; of none, none does."""

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        nearest = Difference(0, lambda: "an 'any_of' of nothing holds for no request")
        undecided = False
        for condition in self.conditions:
            difference = condition.difference(prompt, headers, closer_than=closer_than)
            if difference is None:
                return None
            undecided = undecided or difference.undecided
            if difference.closeness > nearest.closeness:
                nearest = difference
        if len(self.conditions) > 1:
            nearest = nearest._replace(reason=partial(self._reason, nearest.reason))
        return nearest._replace(undecided=undecided)

    def covers(self, later: Predicate) -> bool:
        implied = later.conditions if isinstance(later, AnyOf) else (later,)
        return all(any(each.covers(one) for each in self.conditions) for one in implied)

    def _reason(self, nearest: Callable[[], str]) -> str:
        return f"none of {len(self.conditions)} alternatives holds; the nearest: {nearest()}"


@dataclass(frozen=True, slots=True)
class Not(Predicate):
    """`condition` does not hold. If that cannot be decided, neither does this."""

    condition: Predicate
    words: str
    """The condition as written, for the reason."""

    @property
    def header_names(self) -> tuple[bytes, ...]:
        return self.condition.header_names

    @property
    def looks_back(self) -> bool:
        return self.condition.looks_back

    @property
    def readings(self) -> tuple[Callable[[Prompt], Any], ...]:
        return self.condition.readings

    def work(self, prompt: Prompt) -> int:
        return self.condition.work(prompt)

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        difference = self.condition.difference(prompt, headers)
        if difference is None:
            return Difference(ONLY_REQUEST, lambda: f"what must not hold does: {self.words}")
        return difference if difference.undecided else None

    @property
    def is_slow(self) -> bool:
        return self.condition.is_slow

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        return self.condition.decide_in_pieces(prompt, headers, effort)

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, Not) and later.condition.covers(self.condition)
