"""Rules that no request ever reaches, because an earlier one matches whatever they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mockllm.matching import covers
from mockllm.needles import Needles
from mockllm.rule import Kind, Rule

MOST_COMPARED = 100  # earlier rules of the same body that one is compared with, by their headers


def never_reached(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Each of `rules`, which are in order, that an earlier one covers, and that earlier one. Where
    very many rules differ in headers only, some may be missed."""
    by_text: dict[str, list[Rule]] = {}
    by_items: dict[tuple[int, bytes], list[Rule]] = {}
    endings: list[Rule] = []
    for rule in rules:
        wanted = rule.expectation
        if wanted.kind is Kind.CONTAINS:
            by_text.setdefault(wanted.text, []).append(rule)
        elif wanted.kind is Kind.EQUALS:
            by_items.setdefault((wanted.size, wanted.key), []).append(rule)
        else:
            endings.append(rule)
    needles = Needles(tuple(by_text))
    of_needle = list(by_text.values())
    for rule in rules:
        wanted = rule.expectation
        alike = [by_items.get((wanted.size, wanted.key), []), endings]
        alike += [of_needle[at] for text in wanted.texts for at in needles.found_in(text)]
        covering = _first_covering(alike, rule)
        if covering is not None:
            yield rule, covering


def _first_covering(alike: list[list[Rule]], rule: Rule) -> Rule | None:
    found = (
        earlier
        for earliers in alike
        for earlier in islice(earliers, MOST_COMPARED)
        if earlier.index < rule.index and covers(earlier, rule)
    )
    return min(found, key=lambda earlier: earlier.index, default=None)
