"""Conditions made of others: all of them hold, one of them, or one does not.

What cannot be decided stays so unless another condition decides: a condition that cannot be decided
does not hold, and its negation does not hold either.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mockllm.matching.closeness import ONLY_REQUEST
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

PER_CONDITION = 1_000  # nanoseconds to look at a condition, beside its texts
PER_MEASURED = 10_000  # nanoseconds to measure one that does not hold


@dataclass(frozen=True, slots=True)
class _Several(Predicate):
    """Several conditions at once, and what is the same whichever of them have to hold. There may be
    10,000, so what depends on all of them is found once."""

    conditions: tuple[Predicate, ...]
    extent: int = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count and hash the conditions."""
        object.__setattr__(self, "extent", 1 + sum(each.extent for each in self.conditions))
        object.__setattr__(self, "_hash", hash((type(self), self.conditions)))

    def __hash__(self) -> int:
        return self._hash

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

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        return self._together(
            condition.difference(prompt, headers, closer_than=closer_than)
            for condition in self.conditions
        )

    def difference_in_pieces(
        self, prompt: Prompt, headers: Headers, effort: Effort, *, closer_than: int = DECIDE
    ) -> Pieces[Difference | None]:
        found: list[Difference | None] = []
        for condition in self.conditions:
            difference = yield from condition.difference_in_pieces(
                prompt, headers, effort, closer_than=closer_than
            )
            found.append(difference)
            if self._is_decisive(difference):
                break
            if effort.is_much(PER_CONDITION if closer_than >= DECIDE else PER_MEASURED):
                yield False
        return self._together(found)

    @abstractmethod
    def _together(self, differences: Iterable[Difference | None]) -> Difference | None:
        """Return the difference, given those of the conditions up to the first that is decisive."""

    @abstractmethod
    def _is_decisive(self, difference: Difference | None) -> bool:
        """Return True if no further condition matters."""


class AllOf(_Several):
    """All `conditions` hold; so does a list of none."""

    __slots__ = ()

    def _is_decisive(self, difference: Difference | None) -> bool:
        return difference is not None and not difference.undecided

    def _together(self, differences: Iterable[Difference | None]) -> Difference | None:
        undecided: Difference | None = None
        for difference in differences:
            if difference is None:
                continue
            if not difference.undecided:
                return difference
            undecided = undecided or difference
        return undecided

    def covers(self, later: Predicate) -> bool:
        implied = later.conditions if isinstance(later, AllOf) else (later,)
        return all(any(each.covers(one) for one in implied) for each in self.conditions)


class AnyOf(_Several):
    """One of `conditions` holds; of none, none does."""

    __slots__ = ()

    def _is_decisive(self, difference: Difference | None) -> bool:
        return difference is None

    def _together(self, differences: Iterable[Difference | None]) -> Difference | None:
        nearest = Difference(0, lambda: "an 'any_of' of nothing holds for no request")
        undecided = False
        for difference in differences:
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
        return self._opposite(self.condition.difference(prompt, headers))

    def difference_in_pieces(
        self, prompt: Prompt, headers: Headers, effort: Effort, *, closer_than: int = DECIDE
    ) -> Pieces[Difference | None]:
        return self._opposite(
            (yield from self.condition.difference_in_pieces(prompt, headers, effort))
        )

    def _opposite(self, difference: Difference | None) -> Difference | None:
        if difference is None:
            return Difference(ONLY_REQUEST, lambda: f"what must not hold does: {self.words}")
        return difference if difference.undecided else None

    @property
    def extent(self) -> int:
        return self.condition.extent

    @property
    def is_slow(self) -> bool:
        return self.condition.is_slow

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        return self.condition.decide_in_pieces(prompt, headers, effort)

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, Not) and later.condition.covers(self.condition)
