"""Finds rules that cost time in every request: no look-up tells quickly that they do not match.

>>> costs_of(rule).slow_condition
"the expression '[0-9]+' has no text that every match contains ..."
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mockllm.matching.homes import Home, home_of
from mockllm.matching.rule import Rule

MAX_CANDIDATES = 64  # rules with state of which a request may have to choose one
MAX_COMPARED = 64  # rules that may be compared with every request: 0.1 ms


class RuleCosts(NamedTuple):
    """What a rule costs in every request."""

    is_compared: bool
    """True if it is compared, because none of its conditions can be looked up. A rule without
    conditions answers every request instead."""
    slow_condition: str
    """The sentence that names what takes long to look up, and how long; empty if another condition
    is looked up fast, or none can be looked up."""


def costs_of(rule: Rule) -> RuleCosts:
    """Return what `rule` costs in every request."""
    homes = [home for home in map(home_of, rule.predicates) if home is not None]
    return RuleCosts(bool(rule.predicates) and not homes, _slowest(homes))


def _slowest(homes: Sequence[Home]) -> str:
    slow: list[str] = []
    for home in homes:
        slowness = _slowness(home)
        if not slowness:
            return ""
        slow.append(slowness)
    return min(slow, default="")


def _slowness(home: Home) -> str:
    for family, key in home.keys:
        slowness = family.slowness(key)
        if slowness:
            return slowness
    return ""
