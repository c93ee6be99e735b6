"""Rules that no request ever reaches, because an earlier one matches whatever they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mockllm.matching.rule import Expectation, HeaderRule, Kind, Rule
from mockllm.matching.substrings import SubstringIndex

MAX_COMPARED = 100  # earlier rules of the same body that one is compared with, by their headers


def find_shadowed(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
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
    needles = SubstringIndex(tuple(by_text))
    of_needle = list(by_text.values())
    for rule in rules:
        wanted = rule.expectation
        alike = [by_items.get((wanted.size, wanted.key), []), endings]
        alike += [of_needle[at] for text in wanted.texts for at in needles.matches(text)]
        covering = _first_covering(alike, rule)
        if covering is not None:
            yield rule, covering


def _first_covering(alike: list[list[Rule]], rule: Rule) -> Rule | None:
    found = (
        earlier
        for earliers in alike
        for earlier in islice(earliers, MAX_COMPARED)
        if earlier.index < rule.index and covers(earlier, rule)
    )
    return min(found, key=lambda earlier: earlier.index, default=None)


def covers(earlier: Rule, later: Rule) -> bool:
    """Whether every request that `later` matches is matched by `earlier` too, so that `later`,
    standing behind it, is never reached. May say no where the truth is yes, never the reverse."""
    return _body_covers(earlier.expectation, later.expectation) and all(
        any(_header_covers(wanted, given) for given in later.headers) for wanted in earlier.headers
    )


def _body_covers(earlier: Expectation, later: Expectation) -> bool:
    match earlier.kind:
        case Kind.CONTAINS:
            role_fits = earlier.role is None or earlier.role == later.role
            return role_fits and any(earlier.text in text for text in later.texts)
        case Kind.ENDS_WITH:
            same = later.size == earlier.size and later.key == earlier.key
            longer = later.key.endswith(b"," + earlier.key)
            return later.kind is not Kind.CONTAINS and (same or longer or earlier.size == 0)
        case Kind.EQUALS:
            same = later.size == earlier.size and later.key == earlier.key
            return later.kind is Kind.EQUALS and same


def _header_covers(earlier: HeaderRule, later: HeaderRule) -> bool:
    if earlier.name != later.name:
        return False
    if earlier.contains:
        return bool(later.value) and earlier.value in later.value
    return not later.contains and earlier.value == later.value
