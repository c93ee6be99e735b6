"""A mock's match, compiled: the conditions that a request must meet for the mock to answer."""

from __future__ import annotations

from dataclasses import dataclass

from mockllm.matching.predicates import DECIDE, Difference, Headers, Predicate
from mockllm.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Rule:
    """All of `predicates` must hold; without any, every request matches.

    `index` is the mock's place among those of its API, `label` its name in messages
    (``openai[3] 'greet'``). A `stateful` rule that holds may still pass: something that happened
    before decides, of which the rules know nothing.
    """

    index: int
    label: str
    predicates: tuple[Predicate, ...] = ()
    stateful: bool = False

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        """That of the first predicate that does not hold; None if all hold. `closer_than` is as in
        `Predicate.difference`."""
        for predicate in self.predicates:
            difference = predicate.difference(prompt, headers, closer_than=closer_than)
            if difference is not None:
                return difference
        return None

    def covers(self, later: Rule) -> bool:
        """Whether every request that `later` matches is matched by this rule too. May be False
        where the truth is True, never the reverse."""
        return all(
            any(predicate.covers(implied) for implied in later.predicates)
            for predicate in self.predicates
        )
