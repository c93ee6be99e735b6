"""Conditions on members of a request's body, which JSONPath (RFC 9535) selects.

>>> BodyHas(read_path("$.metadata.tenant"), ValueText(Contains("a")), canonical)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Self

import orjson

from mockllm.matching.closeness import ONLY_REQUEST
from mockllm.matching.effort import PER_CHARACTER, PER_TEXT, Effort
from mockllm.matching.json_path import MAX_LEVELS, MAX_NODES, Path
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.readings import Folded
from mockllm.matching.text_tests import TextTest, explain_cut, passes_in_pieces
from mockllm.matching.texts import MAX_QUOTE
from mockllm.matching.verdicts import (
    Verdict,
    all_of,
    all_of_in_pieces,
    one_of,
    one_of_in_pieces,
)
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

MAX_CANONICAL = 4_096  # bytes of a value of which the beginning is shown
MIN_ENTRY = 2  # bytes of a member, with its comma
MAX_SHORTER = 4  # times that the canonical form is shorter than JSON: 0 is -0.0
MAX_HINTED = 32  # values for which a remedy is sought


class Canonical(NamedTuple):
    """Encodes values in a canonical form: two are equal if and only if the values are the same
    JSON. 1 is 1.0, not true."""

    at_once: Callable[[Any], bytes]
    in_pieces: Callable[[Any], Iterator[bytes]]

    def up_to(self, size: int, value: Any) -> Pieces[bytes | None]:
        """Return the canonical form of a value, made with pauses; None if it has more than `size`
        bytes."""
        if isinstance(value, (dict, list)) and MIN_ENTRY * len(value) > size:
            return None
        if isinstance(value, str) and len(value) > size:
            return None
        made, pieces = 0, list[bytes]()
        for piece in self.in_pieces(value):
            made += len(piece)
            if made > size:
                return None
            if pieces:
                yield False
            pieces.append(piece)
        if len(pieces) > 1:
            yield True
        return b"".join(pieces)


# --- values --------------------------------------------------------------------------------------


class ValueTest(ABC):
    """One test of a JSON value. Immutable, comparable, hashable."""

    __slots__ = ()

    @abstractmethod
    def passes(self, value: Any) -> Verdict:
        """Return True if `value` passes, None if that is not decided."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the values that pass."""

    def passes_in_pieces(self, value: Any, folded: Folded, effort: Effort) -> Pieces[Verdict]:
        """Do what `passes` does, with pauses."""
        if effort.is_much(self.effort(value)):
            yield False
        return self.passes(value)

    def explain_cut(self, values: Sequence[Any]) -> str:
        """Return the sentence, behind a semicolon, that not all of one of `values` is looked at;
        empty if it is."""
        return ""

    def hint(self, value: Any) -> str:
        """Return what `value`, which does not pass, lacks, or a remedy; else the empty string."""
        return ""

    @property
    def is_slow(self) -> bool:
        """True if it has a regular expression."""
        return False

    @property
    def weight(self) -> int:
        """Roughly the time to test a value; 1 for one comparison."""
        return 1

    def effort(self, value: Any) -> int:
        """Return about how many nanoseconds it takes at most to test `value`."""
        return PER_TEXT + PER_CHARACTER * (len(value) if isinstance(value, str) else 0)

    @property
    def key(self) -> bytes | None:
        """The canonical form of the only value that passes; None if there are others."""
        return None


@dataclass(frozen=True, slots=True)
class ValueEquals(ValueTest):
    """The value is the one whose canonical form is `wanted`."""

    wanted: bytes
    canonical: Canonical = field(compare=False)

    @classmethod
    def of(cls, value: Any, canonical: Canonical) -> Self:
        """Return the test for `value`."""
        # the key is copied, because bytes returned by orjson occupy at least 4 KiB
        return cls(b"%b" % canonical.at_once(value), canonical)

    def passes(self, value: Any) -> bool:
        if is_longer(value, len(self.wanted)):
            return False
        return self.canonical.at_once(value) == self.wanted

    def passes_in_pieces(self, value: Any, folded: Folded, effort: Effort) -> Pieces[bool]:
        found = yield from self.canonical.up_to(len(self.wanted), value)
        if effort.is_much(self.effort(value)):
            yield False
        return found == self.wanted

    @property
    def key(self) -> bytes | None:
        return self.wanted

    def __str__(self) -> str:
        return _shown(self.wanted)


@dataclass(frozen=True, slots=True)
class ValueText(ValueTest):
    """The value is a string that passes `test`."""

    test: TextTest

    def passes(self, value: Any) -> Verdict:
        return isinstance(value, str) and self.test.passes(value)

    def explain_cut(self, values: Sequence[Any]) -> str:
        return explain_cut(self.test, (len(value) for value in values if isinstance(value, str)))

    def passes_in_pieces(self, value: Any, folded: Folded, effort: Effort) -> Pieces[Verdict]:
        if not isinstance(value, str):
            return False
        return (yield from passes_in_pieces(self.test, (value,), folded, effort))

    def hint(self, value: Any) -> str:
        return self.test.hint(value) if isinstance(value, str) else ""

    @property
    def is_slow(self) -> bool:
        return self.test.is_slow

    @property
    def weight(self) -> int:
        return self.test.weight

    def effort(self, value: Any) -> int:
        return self.test.effort(len(value)) if isinstance(value, str) else PER_TEXT

    def __str__(self) -> str:
        return str(self.test)


@dataclass(frozen=True, slots=True)
class _Several(ValueTest):
    """Several tests at once, and what is the same whichever of them a value has to pass."""

    tests: tuple[ValueTest, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the tests once, of which there may be 10,000."""
        object.__setattr__(self, "_hash", hash((type(self), self.tests)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def is_slow(self) -> bool:
        return any(test.is_slow for test in self.tests)

    @property
    def weight(self) -> int:
        return sum(test.weight for test in self.tests)

    def effort(self, value: Any) -> int:
        return sum(test.effort(value) for test in self.tests)

    def explain_cut(self, values: Sequence[Any]) -> str:
        return next(filter(None, (test.explain_cut(values) for test in self.tests)), "")


class AnyValue(_Several):
    """The value passes one of `tests`."""

    __slots__ = ()

    def passes(self, value: Any) -> Verdict:
        return one_of(test.passes(value) for test in self.tests)

    def passes_in_pieces(self, value: Any, folded: Folded, effort: Effort) -> Pieces[Verdict]:
        found = (test.passes_in_pieces(value, folded, effort) for test in self.tests)
        return (yield from one_of_in_pieces(found))

    def hint(self, value: Any) -> str:
        return next(filter(None, (test.hint(value) for test in self.tests)), "")

    def __str__(self) -> str:
        return "one of: " + "; ".join(map(str, self.tests))


class AllValues(_Several):
    """The value passes all `tests`; any value passes if there are none."""

    __slots__ = ()

    def passes(self, value: Any) -> Verdict:
        return all_of(test.passes(value) for test in self.tests)

    def passes_in_pieces(self, value: Any, folded: Folded, effort: Effort) -> Pieces[Verdict]:
        found = (test.passes_in_pieces(value, folded, effort) for test in self.tests)
        return (yield from all_of_in_pieces(found))

    def hint(self, value: Any) -> str:
        return next((test.hint(value) for test in self.tests if not test.passes(value)), "")

    def __str__(self) -> str:
        return " and ".join(map(str, self.tests)) if self.tests else "any value"


def is_longer(value: Any, size: int) -> bool:
    """Return True if the canonical form of a value has more than `size` bytes, as it is easily
    seen: to make that of a megabyte takes 300 ms."""
    if not isinstance(value, (dict, list)):
        return isinstance(value, str) and len(value) > size
    if MIN_ENTRY * len(value) > size:
        return True
    try:
        return len(orjson.dumps(value)) > MAX_SHORTER * size
    except orjson.JSONEncodeError:  # too deep
        return False


# --- the condition -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BodyHas(Predicate):
    """`path` selects at least one value that passes `test`; or, if `test` is None, no value."""

    path: Path
    test: ValueTest | None
    canonical: Canonical = field(compare=False)

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        values = self.path.select(prompt)
        if values is None:
            return Difference(ONLY_REQUEST, self._too_large, undecided=True)
        if self.test is None:
            return Difference(ONLY_REQUEST, partial(self._reason, values)) if values else None
        holds = self._verdict(self.test, prompt, values)
        if holds:
            return None
        if holds is None:
            return Difference(ONLY_REQUEST, partial(self._cut_reason, values), undecided=True)
        return Difference(ONLY_REQUEST, partial(self._reason, values))

    def _verdict(self, test: ValueTest, prompt: Prompt, values: list[Any]) -> Verdict:
        if prompt.verdicts is not None and self in prompt.verdicts:
            kept: Verdict = prompt.verdicts[self]
            return kept
        return one_of(map(test.passes, values))

    @property
    def extent(self) -> int:
        return 1 if self.test is None else self.test.weight

    @property
    def is_slow(self) -> bool:
        return self.path.steps is None or (self.test is not None and self.test.is_slow)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        yield from self.path.prepare(prompt, effort)
        values, test = self.path.select(prompt), self.test
        if values is None or test is None:
            return
        folded = prompt.once(Folded)
        found = (test.passes_in_pieces(value, folded, effort) for value in values)
        prompt.keep_verdict(self, (yield from one_of_in_pieces(found)))

    def _too_large(self) -> str:
        return (
            f"{self.path.text} is not looked at: the body has more than {MAX_NODES:,} values or "
            f"{MAX_LEVELS} levels, or the path looks at too many of them"
        )

    def _reason(self, values: list[Any]) -> str:
        if self.test is None:
            return f"{self.path.text} is {self._beginning(values[0])}, expected nothing"
        if not values:
            return f"{self.path.text} is missing, expected {self.test}"
        found = self._beginning(values[0])
        hint = next(filter(None, map(self.test.hint, values[:MAX_HINTED])), "")
        return f"{self.path.text} is {found}, expected {self.test}{hint}"

    def _cut_reason(self, values: list[Any]) -> str:
        cut = "" if self.test is None else self.test.explain_cut(values)
        return f"{self._reason(values)}{cut}"

    def _beginning(self, value: Any) -> str:
        """The beginning of a value, which may be large."""
        if isinstance(value, str):
            value = value[: 4 * MAX_QUOTE]
        shown = b""
        for piece in self.canonical.in_pieces(value):
            shown += piece
            if len(shown) > MAX_CANONICAL:
                break
        return _shown(shown)


def _shown(canonical: bytes) -> str:
    """The beginning of a value's canonical form, which is JSON."""
    text = canonical[: 4 * MAX_QUOTE].decode("utf-8", "ignore")
    return text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE]}…"
