"""Explains why no rule matched a request: the closest rule, and its first unmet condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from mockllm.matching.predicate import Difference, Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


class NearMiss(NamedTuple):
    """The rule that is closest to matching, with a sentence that explains why it does not.
    `logged` is the sentence without values of headers."""

    rule: Rule
    reason: str
    logged: str

    @classmethod
    def of(cls, rule: Rule, difference: Difference) -> Self:
        """Return the near miss of a rule that differs from the request."""
        reason = difference.reason()
        return cls(rule, reason, reason if difference.logged is None else difference.logged())


def nearest_miss(rules: Sequence[Rule], prompt: Prompt, headers: Headers) -> NearMiss | None:
    """Return the rule that is closest to matching, the first of equally close ones. None if every
    rule matches or there are none."""
    nearest: tuple[Rule, Difference] | None = None
    closest = 0  # less than any closeness
    for rule in rules:
        difference = rule.difference(prompt, headers, closer_than=closest)
        if difference is not None and difference.closeness > closest:
            nearest, closest = (rule, difference), difference.closeness
    return None if nearest is None else NearMiss.of(*nearest)
