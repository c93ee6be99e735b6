"""The compiled form of a mock's match: all conditions that a request must meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mockllm.matching.closeness import NOTHING_HOLDS
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches requests for which all `predicates` hold; every request if there are none.

    `index` is the position of the mock in the list of its API, `label` its name in messages
    (``openai[3] 'greet'``). Whether the mock of a `stateful` rule that matches does answer depends
    on earlier requests, which the rule does not know. A rule that `passes` may leave requests that
    it matches to later ones.
    """

    index: int
    label: str
    predicates: tuple[Predicate, ...] = ()
    stateful: bool = False
    passes: bool = False

    @property
    def call_id(self) -> str:
        """The id of the call whose result the rule prefers; empty if it prefers none.

        Whether a rule matches does not depend on it. But of the rules that are equal otherwise, and
        so match together, those that name the request's call answer (`matching.twins`).
        """
        return next(filter(None, (each.preferred_call() for each in self.predicates)), "")

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        """Return the difference from the first predicate that does not hold; None if all hold.
        `closer_than` is that of `Predicate.difference`."""
        for place, predicate in enumerate(self.predicates):
            difference = predicate.difference(prompt, headers, closer_than=closer_than)
            if difference is not None:
                if place == 0 and not predicate.on_message:
                    return difference._replace(closeness=NOTHING_HOLDS)
                return difference
        return None

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        """Do what takes long in `difference`, with pauses (`Predicate.decide_in_pieces`)."""
        for predicate in self.predicates:
            yield from predicate.decide_in_pieces(prompt, headers, effort)
            if prompt.verdicts is not None and prompt.verdicts.get(predicate) is False:
                break

    def work(self, prompt: Prompt) -> int:
        """Return roughly how many characters `difference` compares."""
        return sum(predicate.work(prompt) for predicate in self.predicates)

    def covers(self, later: Rule) -> bool:
        """Return True if this rule certainly matches every request that `later` matches. False
        means that it may not."""
        return all(
            any(predicate.covers(implied) for implied in later.predicates)
            for predicate in self.predicates
        )
