"""Rules that no request reaches, because an earlier rule matches every request that they match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mockllm.matching.predicates import ItemsEqual, LastMessagePredicate, MessageContains
from mockllm.matching.rule import Rule
from mockllm.matching.substrings import SubstringIndex

MAX_COMPARED = 100  # earlier rules of one group that a rule is compared with


def find_shadowed(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Each of `rules`, which are in order, that an earlier one covers, with the first that does.
    Where very many rules have the same condition on the message, some may be missed."""
    groups = _Groups(rules)
    for rule in rules:
        earlier = (
            other
            for group in groups.that_may_cover(rule)
            for other in islice(group, MAX_COMPARED)
            if other.index < rule.index and other.covers(rule)
        )
        covering = min(earlier, key=lambda other: other.index, default=None)
        if covering is not None:
            yield rule, covering


class _Groups:
    """Rules by the text or the items that they want, so that a rule is compared with those only
    that may cover it: 10,000 rules are not compared pair by pair."""

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

    def that_may_cover(self, rule: Rule) -> Iterator[list[Rule]]:
        """A rule covers another only if its first predicate does."""
        yield self._others
        for predicate in rule.predicates:
            if isinstance(predicate, ItemsEqual):
                yield self._by_items.get((predicate.size, predicate.key), [])
            if isinstance(predicate, LastMessagePredicate):
                for text in predicate.required_texts:
                    for place in self._texts.matches(text):
                        yield self._of_text[place]
