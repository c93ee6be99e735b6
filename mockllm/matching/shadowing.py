"""Finds unreachable rules: those whose requests are all matched by an earlier rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mockllm.matching.predicates import ItemsEqual, LastMessagePredicate, MessageContains
from mockllm.matching.rule import Rule
from mockllm.matching.substrings import SubstringIndex

MAX_COMPARED = 100  # earlier rules of one group that a rule is compared with


def find_shadowed(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Yield each rule that is covered by an earlier one, with the first that covers it. `rules` are
    in order. Some may be missed if more than `MAX_COMPARED` have the same first condition."""
    groups = _Groups(rules)
    for rule in rules:
        earlier = (
            other
            for group in groups.possible_covers(rule)
            for other in islice(group, MAX_COMPARED)
            if other.index < rule.index and other.covers(rule)
        )
        covering = min(earlier, key=lambda other: other.index, default=None)
        if covering is not None:
            yield rule, covering


class _Groups:
    """Rules grouped by the text or the items of their first condition, so that a rule is compared
    only with those that may cover it: comparing 10,000 rules in pairs would take too long."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_text: dict[str, list[Rule]] = {}
        self._by_items: dict[tuple[int, bytes], list[Rule]] = {}
        self._others: list[Rule] = []
        for rule in rules:
            match rule.predicates:
                case (MessageContains(text=text), *_):
                    by_text.setdefault(text, []).append(rule)
                case (ItemsEqual(size=size, key=key), *_):
                    self._by_items.setdefault((size, key), []).append(rule)
                case _:
                    self._others.append(rule)
        self._texts = SubstringIndex(tuple(by_text))
        self._of_text = list(by_text.values())

    def possible_covers(self, rule: Rule) -> Iterator[list[Rule]]:
        """Yield groups that together contain every rule that covers `rule`. A rule covers another
        only if its first predicate covers one of the other's."""
        yield self._others
        for predicate in rule.predicates:
            if isinstance(predicate, ItemsEqual):
                yield self._by_items.get((predicate.size, predicate.key), [])
            if isinstance(predicate, LastMessagePredicate):
                for text in predicate.required_texts:
                    for place in self._texts.matches(text):
                        yield self._of_text[place]
