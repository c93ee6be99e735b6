"""The specification of matching: simple and slow.

Rules are compared one by one, in order. `matching.index` returns the same results faster, as
property tests verify.
"""

from __future__ import annotations

from collections.abc import Iterable

from mockllm.matching.predicates import Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


def first_match(rules: Iterable[Rule], prompt: Prompt, headers: Headers) -> Rule | None:
    """Return the first of `rules` that matches, or None."""
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            return rule
    return None


def candidates(rules: Iterable[Rule], prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
    """Return the rules that may answer: those that match, in order, up to and including the first
    without state. Earlier requests decide which of them does answer."""
    found = []
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            found.append(rule)
            if not rule.stateful:
                break
    return tuple(found)
