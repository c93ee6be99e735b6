"""The compiled form of a mock's match: all conditions that a request must meet."""

from __future__ import annotations

from dataclasses import dataclass

from mockllm.matching.closeness import NOTHING_HOLDS
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

PER_PREDICATE = 500  # nanoseconds to look at a predicate, beside its texts


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
                return _of_rule(difference, place, predicate)
        return None

    def difference_in_pieces(
        self, prompt: Prompt, headers: Headers, effort: Effort, *, closer_than: int = DECIDE
    ) -> Pieces[Difference | None]:
        """Do what `difference` does, with pauses."""
        for place, predicate in enumerate(self.predicates):
            difference = yield from predicate.difference_in_pieces(
                prompt, headers, effort, closer_than=closer_than
            )
            if difference is not None:
                return _of_rule(difference, place, predicate)
            if effort.is_much(PER_PREDICATE):
                yield False
        return None

    @property
    def extent(self) -> int:
        """The number of conditions that the predicates consist of."""
        return sum(predicate.extent for predicate in self.predicates)

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


def _of_rule(difference: Difference, place: int, predicate: Predicate) -> Difference:
    """Return the difference from a rule whose first unmet predicate is at this place in it."""
    if place == 0 and not predicate.on_message:
        return difference._replace(closeness=NOTHING_HOLDS)
    return difference
