"""The base class of conditions on a request.

A predicate is one compiled condition. Its `difference` from a request both decides and explains: it
is None if the condition holds, else it measures how close the request is and can explain why the
condition does not hold.

    >>> MessageContains("weather", role="user").difference(prompt, headers)
    None
    >>> HeaderEquals(b"x-tenant", "X-Tenant", b"a").difference(prompt, headers).reason()
    "header X-Tenant is missing, expected 'a'"

A new kind of condition is a new subclass. If its rules are to be found by look-up, rather than
checked one by one, it also needs a home in `matching.homes`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mockllm.matching.effort import Effort
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

Headers = Mapping[bytes, bytes]
"""The first value of each header of a request, by the header's name in lower case."""

DECIDE = 2**41
"""A `closer_than` above any closeness, for callers that only need to know whether it holds."""


class Difference(NamedTuple):
    """The difference between a request and a predicate that does not hold.

    `closeness` is only for comparison; more is closer. `reason` returns an explanation; it is a
    function because only that of the nearest rule is needed. `logged` is the explanation without
    values of headers; None if `reason` has none. `undecided` is True if the request does not tell
    whether the condition holds.
    """

    closeness: int
    reason: Callable[[], str]
    logged: Callable[[], str] | None = None
    undecided: bool = False


class Predicate(ABC):
    """One condition on a request. Immutable, comparable, hashable."""

    __slots__ = ()

    @property
    def header_names(self) -> tuple[bytes, ...]:
        """The headers that the condition depends on, in lower case."""
        return ()

    @property
    def on_message(self) -> bool:
        """True if the condition is about what the user or a tool says last: a rule for which it
        holds is nearer than any for which it does not."""
        return False

    @property
    def reads_one_message(self) -> bool:
        """True if of a conversation that consists of one text of the user the condition depends on
        nothing but that text, the model and the headers `header_names`."""
        return False

    @property
    def looks_back(self) -> bool:
        """True if the condition depends on `Prompt.earlier`, the part of a conversation that the
        request does not repeat."""
        return False

    @abstractmethod
    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        """Return None if the condition holds, else the difference.

        The closeness may be too low if it does not exceed `closer_than`, which saves time.
        """

    @property
    def readings(self) -> tuple[Callable[[Prompt], Any], ...]:
        """What the condition reads of a conversation, in order: what takes long where that has
        thousands of messages."""
        return ()

    def work(self, prompt: Prompt) -> int:
        """Return roughly how many characters `difference` compares; 0 if they are few."""
        return 0

    @property
    def is_slow(self) -> bool:
        """True if `difference` may take long even for a small request: there is a regular
        expression, or a path that may select several values."""
        return False

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        """Do what takes long in `difference`, with pauses, and keep the result with `prompt`, so
        that `difference` takes little time."""
        return iter(())

    def difference_in_pieces(
        self, prompt: Prompt, headers: Headers, effort: Effort, *, closer_than: int = DECIDE
    ) -> Pieces[Difference | None]:
        """Do what `difference` does, with pauses."""
        yield from self.decide_in_pieces(prompt, headers, effort)
        return self.difference(prompt, headers, closer_than=closer_than)

    @property
    def extent(self) -> int:
        """The number of conditions that it consists of."""
        return 1

    def is_decided(self, prompt: Prompt) -> bool:
        """Return True if it was decided in pieces whether the condition holds."""
        return prompt.verdicts is not None and self in prompt.verdicts

    def covers(self, later: Predicate) -> bool:
        """Return True if this condition certainly holds for every request for which `later` does.
        False means that it may not."""
        return self == later

    def preferred_call(self) -> str:
        """Return the id of the call whose result the condition prefers (see `Rule.call_id`); empty
        if it prefers none."""
        return ""

    def without_call(self) -> Predicate:
        """Return the condition without that id."""
        return self
