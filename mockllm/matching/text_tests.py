"""The tests that a configuration applies to a text.

    >>> Contains("weather").passes("the weather in Paris")
    True

A new kind of test is a new class here. If its rules are to be looked up, rather than checked one by
one, it also needs keys in `matching.homes`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mockllm.matching.effort import (
    MAX_EFFORT,
    MAX_TEXT_AT_ONCE,
    PER_CHARACTER,
    PER_TEXT,
    Effort,
    is_in_pieces,
)
from mockllm.matching.folding import MAX_FOLDED, explain_overlooked
from mockllm.matching.folding import fold as without_overlooked
from mockllm.matching.readings import Folded
from mockllm.matching.texts import common_prefix, longest_start_within, quote
from mockllm.matching.verdicts import (
    Verdict,
    all_of,
    all_of_in_pieces,
    one_of,
    one_of_in_pieces,
)
from mockllm.pieces import Pieces, finish

MAX_HINTED = 128 * 1024  # characters of a text that is searched for a remedy
Fold = Callable[[str], str]
"""Returns `str.casefold` of a text; one that remembers what it has folded saves time."""


class TextTest(ABC):
    """One test of a text. Immutable, comparable, hashable."""

    __slots__ = ()

    @property
    def weight(self) -> int:
        """Roughly the time to test a character; 1 for one comparison."""
        return 1

    @property
    def is_slow(self) -> bool:
        """True if it has a regular expression."""
        return False

    @property
    def folds(self) -> bool:
        """True if it looks at a text without case (`Fold`)."""
        return False

    def effort(self, length: int) -> int:
        """Return about how many nanoseconds it takes at most to test a text of this `length`."""
        return PER_TEXT + PER_CHARACTER * length

    def looked_at(self, length: int) -> int:
        """Return how many characters of a text of this `length` are looked at, if not all of them;
        else 0."""
        return 0

    @abstractmethod
    def passes(self, text: str, fold: Fold = str.casefold) -> Verdict:
        """Return True if `text` passes, None if that is not decided."""

    def passes_in_pieces(self, text: str, fold: Fold, effort: Effort) -> Pieces[Verdict]:
        """Do what `passes` does for a `text` that is long, with pauses."""
        if effort.is_much(self.effort(len(text))):
            yield False
        return self.passes(text, fold)

    @abstractmethod
    def __str__(self) -> str:
        """Describe the texts that pass: ``a text that contains 'x'``."""

    def covers(self, later: TextTest) -> bool:
        """Return True if every text that passes `later` certainly passes this test."""
        return _covers(self, later)

    def _covers_one(self, later: TextTest) -> bool:
        return self == later

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        """Return the number of characters by which `text` agrees with one that would pass; 0 if it
        is not greater than `above`."""
        return 0

    def likeness(self, text: str, seen: Fold = without_overlooked) -> int:
        """Return the number of characters of a text that would pass and differs from `text` in
        nothing but what readers overlook, such as case; 0 if there is none. `seen` is
        `folding.fold`, or remembers what it has folded."""
        return 0

    def hint(self, text: str) -> str:
        """Return a remedy if `text`, which does not pass, suggests one; else the empty string."""
        return ""


def _covers(test: TextTest, later: TextTest) -> bool:
    if isinstance(later, AnyTest):
        return all(_covers(test, each) for each in later.tests)
    if isinstance(test, AllTests):
        return all(_covers(each, later) for each in test.tests)
    if isinstance(test, AnyTest) and any(_covers(each, later) for each in test.tests):
        return True
    if isinstance(later, AllTests):
        return any(_covers(test, each) for each in later.tests)
    return test._covers_one(later)


def one_passes(test: TextTest, texts: Iterable[str], fold: Fold = str.casefold) -> Verdict:
    """Return True if one of `texts` passes, None if none does but that is not decided of all."""
    return one_of(test.passes(text, fold) for text in texts)


def explain_cut(test: TextTest, lengths: Iterable[int]) -> str:
    """Return the sentence, behind a semicolon, that not all of a text of one of these `lengths` is
    looked at; empty if it is."""
    most = test.looked_at(max(lengths, default=0))
    return f"; only the first {most:,} characters of a text are looked at" if most else ""


def passes_in_pieces(
    test: TextTest, texts: Iterable[str], folded: Folded, effort: Effort
) -> Pieces[Verdict]:
    """Do what `one_passes` does, with pauses."""
    fold = folded.fold
    verdict: Verdict = False
    for text in texts:  # of which there may be many, too short for pieces of their own
        is_long = len(text) > MAX_TEXT_AT_ONCE
        if is_long or test.effort(len(text)) > MAX_EFFORT:
            if is_long and test.folds:
                yield from folded.fold_in_pieces(text, effort)
            passed = yield from test.passes_in_pieces(text, fold, effort)
        else:
            passed = test.passes(text, fold)
            if not passed and effort.is_much(test.effort(len(text))):
                yield False
        if passed:
            return True
        if passed is None:
            verdict = None
    return verdict


# --- one operator --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison(TextTest):
    """A comparison with `value`. With `ignores_case`, both are folded (`str.casefold`)."""

    value: str
    ignores_case: bool = False
    compared: str = field(init=False, repr=False, compare=False)
    """`value` as it is compared: folded if case does not matter, which takes 10 ms for 10 MB."""

    def __post_init__(self) -> None:
        """Fold the value."""
        compared = self.value.casefold() if self.ignores_case else self.value
        object.__setattr__(self, "compared", compared)

    def passes(self, text: str, fold: Fold = str.casefold) -> bool:
        if self.ignores_case:
            return self._holds(fold(text), self.compared)
        return self._holds(text, self.value)

    @abstractmethod
    def _holds(self, text: str, value: str) -> bool: ...

    @property
    def folds(self) -> bool:
        return self.ignores_case

    def _is_implied_by(self, later: TextTest) -> str | None:
        """The value of `later` in the form that this test compares; None if it has none, or if its
        case does not matter while that of this test does."""
        if not isinstance(later, Comparison) or (later.ignores_case and not self.ignores_case):
            return None
        return later.value.casefold() if self.ignores_case else later.value

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        compared = fold(text) if self.ignores_case else text
        return longest_start_within(self.compared, compared, above=above)

    def likeness(self, text: str, seen: Fold = without_overlooked) -> int:
        if len(self.value) > MAX_FOLDED or (self._to_the_end and len(text) > MAX_FOLDED):
            return 0
        value = without_overlooked(self.value)
        return len(value) if value and self._holds(seen(text[:MAX_FOLDED]), value) else 0

    @property
    def _to_the_end(self) -> bool:
        """True if the end of a text counts."""
        return False

    def hint(self, text: str) -> str:
        if not self.likeness(text):
            return ""
        compared = text[:MAX_FOLDED].casefold() if self.ignores_case else text
        return explain_overlooked(self.compared, compared)

    def _case(self) -> str:
        return ", in any case" if self.ignores_case else ""


class Equals(Comparison):
    """The text is `value`."""

    __slots__ = ()

    def _holds(self, text: str, value: str) -> bool:
        return text == value

    def _covers_one(self, later: TextTest) -> bool:
        return isinstance(later, Equals) and self._is_implied_by(later) == self.compared

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        compared = fold(text) if self.ignores_case else text
        return common_prefix(self.compared, compared, above=above)

    @property
    def _to_the_end(self) -> bool:
        return True

    def hint(self, text: str) -> str:
        looked_at = text[:MAX_HINTED]
        if self.value and Contains(self.value, self.ignores_case).passes(looked_at):
            return '; write {"contains": "..."} to find it within a text'
        return Comparison.hint(self, text)

    def __str__(self) -> str:
        return f"{quote(self.value)}{self._case()}"


class Contains(Comparison):
    """The text contains `value`."""

    __slots__ = ()

    def _holds(self, text: str, value: str) -> bool:
        if len(value) > MAX_TEXT_AT_ONCE:
            return finish(is_in_pieces(value, text, Effort()))
        return value in text

    def passes_in_pieces(self, text: str, fold: Fold, effort: Effort) -> Pieces[bool]:
        compared = fold(text) if self.ignores_case else text
        return (yield from is_in_pieces(self.compared, compared, effort))

    def _covers_one(self, later: TextTest) -> bool:
        implied = self._is_implied_by(later)
        return implied is not None and self.compared in implied

    def __str__(self) -> str:
        return f"a text that contains {quote(self.value)}{self._case()}"


class StartsWith(Comparison):
    """The text begins with `value`."""

    __slots__ = ()

    def _holds(self, text: str, value: str) -> bool:
        return text.startswith(value)

    def _covers_one(self, later: TextTest) -> bool:
        implied = self._is_implied_by(later) if isinstance(later, (Equals, StartsWith)) else None
        return implied is not None and implied.startswith(self.compared)

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        compared = fold(text) if self.ignores_case else text
        return common_prefix(self.compared, compared, above=above)

    def __str__(self) -> str:
        return f"a text that starts with {quote(self.value)}{self._case()}"


class EndsWith(Comparison):
    """The text ends with `value`."""

    __slots__ = ()

    def _holds(self, text: str, value: str) -> bool:
        return text.endswith(value)

    @property
    def _to_the_end(self) -> bool:
        return True

    def _covers_one(self, later: TextTest) -> bool:
        implied = self._is_implied_by(later) if isinstance(later, (Equals, EndsWith)) else None
        return implied is not None and implied.endswith(self.compared)

    def __str__(self) -> str:
        return f"a text that ends with {quote(self.value)}{self._case()}"


# --- several tests -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Several(TextTest):
    """Several tests at once, and what is the same whichever of them a text has to pass. There may
    be 10,000, so what depends on all of them is found once."""

    tests: tuple[TextTest, ...]
    _hash: int = field(init=False, repr=False, compare=False)
    _fixed_effort: int = field(init=False, repr=False, compare=False)
    _effort_per_character: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Add up what the tests take."""
        fixed = sum(test.effort(0) for test in self.tests)
        object.__setattr__(self, "_hash", hash((type(self), self.tests)))
        object.__setattr__(self, "_fixed_effort", fixed)
        each = sum(test.effort(1) for test in self.tests) - fixed
        object.__setattr__(self, "_effort_per_character", each)

    def __hash__(self) -> int:
        return self._hash

    @property
    def weight(self) -> int:
        return sum(test.weight for test in self.tests)

    @property
    def is_slow(self) -> bool:
        return any(test.is_slow for test in self.tests)

    @property
    def folds(self) -> bool:
        return any(test.folds for test in self.tests)

    def effort(self, length: int) -> int:
        return self._fixed_effort + self._effort_per_character * length

    def looked_at(self, length: int) -> int:
        return min(filter(None, (test.looked_at(length) for test in self.tests)), default=0)


class AllTests(_Several):
    """The text passes all `tests`."""

    __slots__ = ()

    def passes(self, text: str, fold: Fold = str.casefold) -> Verdict:
        return all_of(test.passes(text, fold) for test in self.tests)

    def passes_in_pieces(self, text: str, fold: Fold, effort: Effort) -> Pieces[Verdict]:
        found = (test.passes_in_pieces(text, fold, effort) for test in self.tests)
        return (yield from all_of_in_pieces(found))

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        failed = (test for test in self.tests if not test.passes(text, fold))
        return max((test.closeness(text, above=above, fold=fold) for test in failed), default=0)

    def likeness(self, text: str, seen: Fold = without_overlooked) -> int:
        likenesses = [test.likeness(text, seen) for test in self.tests if not test.passes(text)]
        return min(likenesses, default=0)

    def hint(self, text: str) -> str:
        return next((test.hint(text) for test in self.tests if not test.passes(text)), "")

    def __str__(self) -> str:
        return " and ".join(map(str, self.tests))


class AnyTest(_Several):
    """The text passes one of `tests`; none if there are no tests."""

    __slots__ = ()

    def passes(self, text: str, fold: Fold = str.casefold) -> Verdict:
        return one_of(test.passes(text, fold) for test in self.tests)

    def passes_in_pieces(self, text: str, fold: Fold, effort: Effort) -> Pieces[Verdict]:
        found = (test.passes_in_pieces(text, fold, effort) for test in self.tests)
        return (yield from one_of_in_pieces(found))

    def closeness(self, text: str, *, above: int = 0, fold: Fold = str.casefold) -> int:
        tests = self.tests
        return max((test.closeness(text, above=above, fold=fold) for test in tests), default=0)

    def likeness(self, text: str, seen: Fold = without_overlooked) -> int:
        return max((test.likeness(text, seen) for test in self.tests), default=0)

    def hint(self, text: str) -> str:
        return next(filter(None, (test.hint(text) for test in self.tests)), "")

    def __str__(self) -> str:
        return "one of: " + "; ".join(map(str, self.tests)) if self.tests else "no text at all"
