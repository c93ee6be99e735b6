"""Explains why no rule matched a request: the closest rule, and its first unmet condition."""

from __future__ import annotations

from collections.abc import Sequence

from mockllm.matching.predicates import Difference, Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


def nearest_miss(
    rules: Sequence[Rule], prompt: Prompt, headers: Headers
) -> tuple[Rule, str] | None:
    """Return the rule that is closest to matching, the first of equally close ones, with a sentence
    that explains why it does not match. None if every rule matches or there are none."""
    nearest: tuple[Rule, Difference] | None = None
    closest = 0  # less than any closeness
    for rule in rules:
        difference = rule.difference(prompt, headers, closer_than=closest)
        if difference is not None and difference.closeness > closest:
            nearest, closest = (rule, difference), difference.closeness
    return None if nearest is None else (nearest[0], nearest[1].reason())
