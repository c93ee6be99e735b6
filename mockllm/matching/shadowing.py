"""Finds unreachable rules: those whose requests are all matched by an earlier rule.

The time grows with the number of rules and the length of their texts, not with the number of pairs:
10,000 rules have 50 million.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge, nsmallest
from itertools import islice
from operator import attrgetter

from mockllm.matching.predicates import (
    HeaderEquals,
    ItemsEqual,
    LastMessagePredicate,
    MessageContains,
    Predicate,
)
from mockllm.matching.rule import Rule
from mockllm.matching.substrings import SubstringIndex
from mockllm.matching.twins import find_twins, first_twin

MAX_COMPARED = 100  # earlier rules that a rule is compared with
MAX_FOUND = 1_000  # texts of other rules that are looked at for each text of a rule

_INDEX = attrgetter("index")


def find_shadowed(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Yield each rule that is covered by an earlier one, with the first that covers it. `rules` are
    in order. Some may be missed if more than `MAX_COMPARED` earlier rules have the same first
    condition or one that holds whenever it does. A rule that passes covers none.

    Of twins (`matching.twins`), the first may answer for any call, and another for its own, in the
    first one's place: it is hidden by rules before that, and by a twin with the same call."""
    groups = _Groups(rules)
    twins = find_twins(rules)
    for rule in rules:
        alike = twins.get(rule.index)
        first = first_twin(alike) if alike else rule
        for other in islice(groups.possible_covers(rule, first.index), MAX_COMPARED):
            if not other.passes and other.covers(rule):
                yield rule, other
                break
        else:
            same = alike[rule.call_id] if alike else ()
            other = next((each for each in same if each is rule or not each.passes), rule)
            if other is not rule:
                yield rule, other


def first_crowded(rules: Sequence[Rule], most: int) -> Rule | None:
    """Return the first rule whose requests are all matched by more than `most` rules with state,
    itself included: all of them are candidates for each of those requests. None if there is none;
    it may be missed like a rule that is shadowed. `rules` are in order."""
    stateful = [rule for rule in rules if rule.stateful]
    if len(stateful) <= most:
        return None
    groups = _Groups(stateful)
    for rule in stateful[most:]:
        earlier = islice(groups.possible_covers(rule, rule.index), MAX_COMPARED)
        if sum(other.covers(rule) for other in earlier) >= most:
            return rule
    return None


_Group = list[Rule]
"""Rules in order, which differ neither in the text or items of their first condition nor in the
value of the first header that must have one."""

_Header = tuple[bytes, bytes]
"""The name and the value of a header that a rule requires."""

_ByHeader = dict[_Header | None, _Group]


class _Groups:
    """Rules in groups, so that a rule is compared only with those that may cover it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_text: dict[str, _ByHeader] = {}
        self._by_items: dict[tuple[int, bytes], _ByHeader] = {}
        self._others: _ByHeader = {}
        for rule in rules:
            match rule.predicates:
                case (MessageContains(text=text), *_):
                    by_header = by_text.setdefault(text, {})
                case (ItemsEqual(size=size, key=key), *_):
                    by_header = self._by_items.setdefault((size, key), {})
                case _:
                    by_header = self._others
            header = next(_headers(rule), None)
            by_header.setdefault(header, []).append(rule)
        self._texts = SubstringIndex(tuple(by_text))
        self._of_text = list(by_text.values())

    def possible_covers(self, rule: Rule, before: int) -> Iterator[Rule]:
        """Yield rules with an index below `before` in order, each that covers `rule` among them,
        except for those that are missed because of the limits."""
        earlier = (group for group in self._groups_of(rule) if group[0].index < before)
        first = nsmallest(MAX_COMPARED, earlier, key=lambda group: group[0].index)
        for other in merge(*first, key=_INDEX):
            if other.index >= before:
                return
            yield other

    def _groups_of(self, rule: Rule) -> Iterator[_Group]:
        """Yield the groups of the rules that may cover `rule`. A rule covers another only if its
        first predicate covers one of the other's, and if the other requires the same values of
        headers."""
        headers = (None, *_headers(rule))
        for by_header in self._with_first_condition(rule.predicates):
            for header in headers:
                group = by_header.get(header)
                if group is not None:
                    yield group

    def _with_first_condition(self, predicates: Sequence[Predicate]) -> Iterator[_ByHeader]:
        yield self._others
        texts: set[int] = set()
        for predicate in predicates:
            if isinstance(predicate, ItemsEqual):
                yield self._by_items.get((predicate.size, predicate.key), {})
            if isinstance(predicate, LastMessagePredicate):
                for text in predicate.required_texts:
                    texts |= self._texts.some_matches(text, MAX_FOUND)
        yield from map(self._of_text.__getitem__, texts)


def _headers(rule: Rule) -> Iterator[_Header]:
    for predicate in rule.predicates:
        if isinstance(predicate, HeaderEquals):
            yield predicate.name, predicate.value
