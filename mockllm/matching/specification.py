"""The specification of matching: simple and slow.

Rules are compared one by one, in order. `matching.index` returns the same results faster, as
property tests verify.
"""

from __future__ import annotations

from collections.abc import Sequence

from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.matching.twins import find_twins, preferred
from mockllm.prompt import Prompt


def first_match(rules: Sequence[Rule], prompt: Prompt, headers: Headers) -> Rule | None:
    """Return the first of `rules` that matches, or None. A twin that names the request's call
    answers in its place."""
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            twins = preferred(find_twins(rules).get(rule.index, {}), prompt)
            return twins[0] if twins else rule
    return None


def candidates(rules: Sequence[Rule], prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
    """Return the rules that may answer: those that match, in order, up to and including the first
    without state. Earlier requests decide which of them does answer. Where twins name the request's
    call, they stand in place of the first of all their twins."""
    found: list[Rule] = []
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            twins = preferred(find_twins(rules).get(rule.index, {}), prompt)
            for each in twins or (rule,):
                if each not in found:
                    found.append(each)
                    if not each.stateful:
                        return tuple(found)
    return tuple(found)
