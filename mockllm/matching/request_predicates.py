"""Conditions on the rest of a request: its instructions, tools, turns, inputs, and whether a stream
is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

from mockllm.matching import readings
from mockllm.matching.closeness import ONLY_REQUEST
from mockllm.matching.effort import PER_TEXT, Effort, is_in_one
from mockllm.matching.folding import explain_absence
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.readings import UNKNOWN_CHAIN, Reading, Texts
from mockllm.matching.texts import quote
from mockllm.prompt import Prompt

MAX_LISTED = 10  # names in a reason
MAX_COMPARED = 16  # names of tools that are compared with another, where more are looked up


@dataclass(frozen=True, slots=True)
class SystemContains(Predicate):
    """Some instruction of the request, a system or developer message, contains a text."""

    text: str

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        known = None if prompt.verdicts is None else prompt.verdicts.get(self)
        if any(self.text in text for text in prompt.system()) if known is None else known:
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, prompt))

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (readings.system,)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        holds = yield from is_in_one(self.text, prompt.system(), effort)
        prompt.keep_verdict(self, holds)

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, SystemContains) and self.text in later.text

    def _reason(self, prompt: Prompt) -> str:
        if not prompt.system():
            return f"there are no instructions, expected some with {quote(self.text)}"
        return explain_absence(self.text, prompt.system(), "instruction")


@dataclass(frozen=True, slots=True)
class OffersTool(Predicate):
    """The request offers a tool of this name."""

    name: str

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        offered = prompt.tools()
        if self.name in offered if len(offered) <= MAX_COMPARED else self._is_one(prompt):
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, prompt))

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (readings.tools, readings.tool_sets)

    def _is_one(self, prompt: Prompt) -> bool:
        return any(self.name in names for names in prompt.once(readings.tool_sets))

    def _reason(self, prompt: Prompt) -> str:
        offered = prompt.tools()
        if not offered:
            return f"no tools are offered, expected {quote(self.name)}"
        return f"tool {quote(self.name)} is not offered, only {_listed(offered)}"


@dataclass(frozen=True, slots=True)
class HasInputs(Predicate):
    """The request has as many inputs as the answer has vectors."""

    number: int

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        if prompt.inputs == self.number:
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, prompt.inputs))

    def _reason(self, found: int) -> str:
        inputs = "1 input" if found == 1 else f"{found} inputs"
        return f"its response has {self.number} vectors, the request has {inputs}"


@dataclass(frozen=True, slots=True)
class NoTools(Predicate):
    """The request offers no tools."""

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        offered = prompt.tools()
        if not offered:
            return None
        return Difference(ONLY_REQUEST, lambda: f"{_offered(offered)}, expected no tools")

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (readings.tools,)


@dataclass(frozen=True, slots=True)
class OffersAnyTool(Predicate):
    """The request offers one of the tools called `names`."""

    names: frozenset[str]

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        offered = prompt.tools()
        known = None if prompt.verdicts is None else prompt.verdicts.get(self)
        if not self.names.isdisjoint(offered) if known is None else known:
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, offered))

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        offered = prompt.tools()
        if len(offered) <= MAX_COMPARED or self.is_decided(prompt):
            return
        holds = False
        for names in prompt.once(readings.tool_sets):
            holds = holds or not self.names.isdisjoint(names)
            if effort.is_much(PER_TEXT * len(names)):
                yield False
        prompt.keep_verdict(self, holds)

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (readings.tools, readings.tool_sets)

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, OffersAnyTool) and later.names <= self.names

    def _reason(self, offered: Texts) -> str:
        found = f"only {_offered(offered)}" if offered else "no tools are offered"
        return f"{found}, expected one of {_listed(nsmallest(MAX_LISTED + 1, self.names))}"


class _Count(NamedTuple):
    name: str
    read: Callable[[Prompt], int | None]


class Counter(Enum):
    """The number that a `CountIs` is about."""

    TURN = _Count("turn", readings.turn)
    STEP = _Count("step", readings.step)


@dataclass(frozen=True, slots=True)
class CountIs(Predicate):
    """A number is at least `low` and at most `high` (None: any)."""

    counter: Counter
    low: int = 1
    high: int | None = None

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (readings.messages, readings.turns, self.counter.value.read)

    @property
    def looks_back(self) -> bool:
        return True

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        name, read = self.counter.value
        found = prompt.once(read)
        if found is None:
            return Difference(ONLY_REQUEST, lambda: f"{name}: {UNKNOWN_CHAIN}", undecided=True)
        if found >= self.low and (self.high is None or found <= self.high):
            return None
        return Difference(ONLY_REQUEST, lambda: f"{name} is {found}, expected {self._expected()}")

    def covers(self, later: Predicate) -> bool:
        return (
            isinstance(later, CountIs)
            and self.counter is later.counter
            and self.low <= later.low
            and (self.high is None or (later.high is not None and later.high <= self.high))
        )

    def _expected(self) -> str:
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Streams(Predicate):
    """The client asks for a stream, or not."""

    expected: bool

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        if prompt.options.stream is self.expected:
            return None
        reason = "no stream is asked for" if self.expected else "a stream is asked for"
        return Difference(ONLY_REQUEST, lambda: reason)


def _offered(names: Texts) -> str:
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'} offered"


def _listed(names: Iterable[str]) -> str:
    shown = [quote(name) for name in islice(names, MAX_LISTED + 1)]
    more = ", …" if len(shown) > MAX_LISTED else ""
    return ", ".join(shown[:MAX_LISTED]) + more
