"""The rule that came closest to a request that none matched, and why it does not match."""

from __future__ import annotations

from collections.abc import Sequence

from mockllm.matching.predicates import Difference, Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


def nearest_miss(
    rules: Sequence[Rule], prompt: Prompt, headers: Headers
) -> tuple[Rule, str] | None:
    """The first of the closest rules among those that do not match, and the reason, for people.
    None if there is no such rule."""
    nearest: tuple[Rule, Difference] | None = None
    closest = 0  # below every closeness
    for rule in rules:
        difference = rule.difference(prompt, headers, closer_than=closest)
        if difference is not None and difference.closeness > closest:
            nearest, closest = (rule, difference), difference.closeness
    return None if nearest is None else (nearest[0], nearest[1].reason())
