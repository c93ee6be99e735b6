"""Finds rules that cost time in every request: no look-up tells quickly that they do not match.

>>> slow_condition(rule)
"the expression '[0-9]+' has no text that every match contains ..."
"""

from __future__ import annotations

from mockllm.matching.homes import home_of
from mockllm.matching.rule import Rule

MAX_CANDIDATES = 64  # rules with state of which a request may have to choose one
MAX_COMPARED = 64  # rules that may be compared with every request: 0.1 ms


def is_compared(rule: Rule) -> bool:
    """Return True if `rule` is compared with every request, because none of its conditions can be
    looked up. A rule without conditions answers every request instead."""
    return bool(rule.predicates) and not any(map(home_of, rule.predicates))


def slow_condition(rule: Rule) -> str:
    """Return the sentence that names what takes long to look up, and how long; empty if another
    condition of `rule` is looked up fast, or none can be looked up."""
    homes = [home for home in map(home_of, rule.predicates) if home is not None]
    slow = [next(filter(None, (f.slowness(key) for f, key in home.keys)), "") for home in homes]
    return min(slow, default="")
