"""The meaning of a list of rules, written to be read.

The rules are gone through in order: plain, slow, and right. `matching.index` gives the same
answers faster; property tests hold it to these functions.
"""

from __future__ import annotations

from collections.abc import Iterable

from mockllm.matching.predicates import Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


def first_match(rules: Iterable[Rule], prompt: Prompt, headers: Headers) -> Rule | None:
    """The first of `rules` of which all predicates hold, or None."""
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            return rule
    return None


def candidates(rules: Iterable[Rule], prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
    """The rules that may answer: those that hold, in order, up to and including the first without
    state. Which of them answers depends on what happened before."""
    found = []
    for rule in rules:
        if rule.difference(prompt, headers) is None:
            found.append(rule)
            if not rule.stateful:
                break
    return tuple(found)
