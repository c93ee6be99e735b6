"""An index of the rules of one API: the results of `matching.specification`, without comparing
every rule.

Each rule is filed under its most selective predicate; its other predicates are checked only if that
one holds. Four rules of Chat Completions:

    0  the message is {"role": "user", "content": "hi"}, x-tenant is a
    1  the message is {"role": "user", "content": "hi"}, x-tenant is b
    2  the user's message contains "weather"
    3  the user's message contains "hi"

Rules 0 and 1 share a bucket of a dictionary, under the canonical form of the message, in which the
value of the header selects one of them. The texts of rules 2 and 3 are in an automaton that
searches for all of them at once. A request with the message "hi" for tenant b leads to two buckets:
one yields rule 1, the other rule 3. The first in the order of the configuration wins: rule 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, Self

from mockllm.matching.explain import NearMiss
from mockllm.matching.near_misses import NearMisses
from mockllm.matching.part_predicates import ItemsEndLike, MessageHasParts
from mockllm.matching.predicates import (
    HeaderEquals,
    Headers,
    ItemsEndWith,
    ItemsEqual,
    MessageContains,
    Predicate,
)
from mockllm.matching.rule import Rule
from mockllm.matching.substrings import SubstringIndex
from mockllm.matching.twins import Twins, find_twins, preferred
from mockllm.prompt import Prompt


class RuleIndex:
    """An immutable index of `rules`, which are in the order of the configuration."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.header_names = tuple(
            {
                name: None
                for rule in rules
                for predicate in rule.predicates
                for name in predicate.header_names
            }
        )
        """The headers that some rule depends on, in lower case, each once."""
        self._stateful = any(rule.stateful for rule in rules)
        self._lookups = _make_lookups(rules)
        self._twins = find_twins(rules)
        self._near_misses = NearMisses(rules)

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or None."""
        best: Rule | None = None
        for lookup in self._lookups:
            for bucket in lookup.buckets(prompt):
                best = bucket.first(best, prompt, headers)
        if self._twins and best is not None:
            return self._preferred(best, prompt)[0]
        return best

    def candidates(self, prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
        """Return the rules that match, in order, up to and including the first without state."""
        if not self._stateful:
            rule = self.find(prompt, headers)
            return () if rule is None else (rule,)
        matching: dict[int, Rule] = {}  # by index, since a rule may be in several buckets
        for lookup in self._lookups:
            for bucket in lookup.buckets(prompt):
                for rule in bucket.matching(prompt, headers, self._twins):
                    matching[rule.index] = rule
        found: dict[int, Rule] = {}
        for index in sorted(matching):
            for rule in self._preferred(matching[index], prompt):
                found[rule.index] = rule
                if not rule.stateful:
                    return tuple(found.values())
        return tuple(found.values())

    def _preferred(self, rule: Rule, prompt: Prompt) -> Sequence[Rule]:
        """Return the twins of a rule that answer in its place, or the rule alone."""
        twins = self._twins.get(rule.index)
        return (twins and preferred(twins, prompt)) or (rule,)

    def nearest_miss(self, prompt: Prompt, headers: Headers) -> NearMiss | None:
        """Return the rule that is closest to matching a prompt that no rule matches; None if there
        are no rules."""
        partly = (
            rule
            for lookup in self._lookups
            for bucket in lookup.buckets(prompt)
            for rule in bucket.rules()
        )
        return self._near_misses.find(prompt, headers, partly)


def is_reusable(candidates: Sequence[Rule]) -> bool:
    """Return True if an equal request always has the same match: neither the rule that answers nor
    any earlier one that matches has state. Such a rule is the only candidate."""
    return not candidates or not candidates[0].stateful


# --- Buckets -------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """A rule in a bucket, with the predicates that the look-up has not decided."""

    rule: Rule
    unchecked: tuple[Predicate, ...]

    @classmethod
    def of(cls, rule: Rule, *decided: Predicate | None) -> Self:
        return cls(rule, tuple(each for each in rule.predicates if each not in decided))


class _Bucket:
    """Rules that share a predicate, in order. Rules that compare a header are looked up by its
    value: a thousand tenants with the same message are found as fast as one."""

    __slots__ = ("_by_value", "_others")

    def __init__(self) -> None:
        self._others: list[_Entry] = []
        self._by_value: dict[bytes, dict[bytes, list[_Entry]]] = {}  # name of a header, its value

    def add(self, rule: Rule, shared: Predicate | None) -> None:
        """Append `rule`; `shared` is the predicate by which the bucket is found, if any."""
        header = next((each for each in rule.predicates if isinstance(each, HeaderEquals)), None)
        if header is None:
            self._others.append(_Entry.of(rule, shared))
        else:
            by_value = self._by_value.setdefault(header.name, {})
            by_value.setdefault(header.value, []).append(_Entry.of(rule, shared, header))

    def first(self, best: Rule | None, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or `best` if that is earlier."""
        if self._others:
            best = _earlier(best, self._others, prompt, headers)
        if self._by_value:
            for name, by_value in self._by_value.items():
                value = headers.get(name, b"")  # a missing header equals the empty value
                best = _earlier(best, by_value.get(value, ()), prompt, headers)
        return best

    def rules(self) -> Iterator[Rule]:
        """Yield all rules, each list in order."""
        lists = (entries for by_value in self._by_value.values() for entries in by_value.values())
        return (rule for entries in chain([self._others], lists) for rule, _ in entries)

    def matching(
        self, prompt: Prompt, headers: Headers, twins: Mapping[int, Twins]
    ) -> Iterator[Rule]:
        """Yield the rules that match, of each list up to the first without state and twins."""
        lists = [self._others]
        for name, by_value in self._by_value.items():
            lists.append(by_value.get(headers.get(name, b""), []))
        for entries in lists:
            for rule, unchecked in entries:
                if all(each.difference(prompt, headers) is None for each in unchecked):
                    yield rule
                    if not rule.stateful and rule.index not in twins:
                        break


def _earlier(
    best: Rule | None, entries: Sequence[_Entry], prompt: Prompt, headers: Headers
) -> Rule | None:
    """Return the first of `entries`, which are in order, that matches, or `best` if that is
    earlier."""
    for rule, unchecked in entries:
        if best is not None and rule.index >= best.index:
            return best
        for predicate in unchecked:
            if predicate.difference(prompt, headers) is not None:
                break
        else:
            return rule
    return best


# --- Look-ups: the buckets whose shared predicate holds ------------------------------------------


class _Lookup(Protocol):
    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        """Return the buckets whose shared predicate holds, in any order; some may be repeated."""


class _Items:
    """Buckets by the canonical form of some items and their number."""

    def __init__(self, rules: Iterable[tuple[ItemsEqual | ItemsEndWith, Rule]]) -> None:
        self._buckets: dict[tuple[int, bytes], _Bucket] = {}
        for predicate, rule in rules:
            key = (predicate.size, predicate.key)
            self._buckets.setdefault(key, _Bucket()).add(rule, predicate)
        self._sizes = frozenset(size for size, _ in self._buckets)


class _EqualItems(_Items):
    """Finds `ItemsEqual`. Computes the canonical form of a message only if some rule compares as
    many items."""

    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        found = []
        for message in prompt.last_messages:
            size = message.size
            if size in self._sizes:
                bucket = self._buckets.get((size, message.key_of_last(size)))
                if bucket is not None:
                    found.append(bucket)
        return found


class _LastItems(_Items):
    """Finds `ItemsEndWith`."""

    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        found = []
        for message in prompt.last_messages:
            for size in self._sizes:
                if size <= message.size:
                    bucket = self._buckets.get((size, message.key_of_last(size)))
                    if bucket is not None:
                        found.append(bucket)
        return found


class _Texts:
    """Finds `MessageContains` and those `MessageHasParts` that require a text, with one automaton
    per role and one for texts of any role."""

    def __init__(self, rules: Iterable[tuple[MessageContains | MessageHasParts, Rule]]) -> None:
        by_role: dict[str | None, dict[str, _Bucket]] = {}
        for predicate, rule in rules:
            by_text = by_role.setdefault(predicate.role, {})
            text = max(predicate.required_texts, key=len)
            decided = predicate if isinstance(predicate, MessageContains) else None
            by_text.setdefault(text, _Bucket()).add(rule, decided)
        self._by_role = {
            role: (SubstringIndex(tuple(by_text)), list(by_text.values()))
            for role, by_text in by_role.items()
        }

    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        found = []
        for message in prompt.last_messages:
            for role in (None, message.role):
                texts = self._by_role.get(role)
                if texts is not None:
                    substrings, buckets = texts
                    for text in message.search_texts:
                        for place in substrings.matches(text):
                            found.append(buckets[place])  # noqa: PERF401  # faster for so few
        return found


class _Calls:
    """Buckets by the id of a call whose result the message has, for rules that name no text."""

    def __init__(self, rules: Iterable[tuple[MessageHasParts | ItemsEndLike, Rule]]) -> None:
        self._buckets: dict[str, _Bucket] = {}
        for predicate, rule in rules:
            self._buckets.setdefault(predicate.call_ids[0], _Bucket()).add(rule, None)

    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        call_ids = {each for message in prompt.last_messages for each in message.call_ids()}
        return [self._buckets[each] for each in call_ids if each in self._buckets]


class _Unindexed:
    """One bucket of all rules without a predicate that can be looked up; each is checked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._bucket = _Bucket()
        for rule in rules:
            self._bucket.add(rule, None)

    def buckets(self, prompt: Prompt) -> Sequence[_Bucket]:
        return (self._bucket,)


def _requires_text(predicate: Predicate) -> bool:
    if isinstance(predicate, MessageHasParts):
        return bool(predicate.required_texts)
    return isinstance(predicate, MessageContains)


def _names_call(predicate: Predicate) -> bool:
    return isinstance(predicate, (MessageHasParts, ItemsEndLike)) and bool(predicate.call_ids)


_BY_SELECTIVITY: Sequence[tuple[Callable[[Predicate], bool], Callable[[Any], _Lookup]]] = (
    (lambda predicate: isinstance(predicate, ItemsEqual), _EqualItems),
    (lambda predicate: isinstance(predicate, ItemsEndWith), _LastItems),
    (_requires_text, _Texts),
    (_names_call, _Calls),
)
"""The look-ups, the most selective first, each with the condition on the predicates it finds."""


def _make_lookups(all_rules: Sequence[Rule]) -> list[_Lookup]:
    filed: list[list[tuple[Predicate, Rule]]] = [[] for _ in _BY_SELECTIVITY]
    unindexed: list[Rule] = []
    for rule in all_rules:
        place, predicate = _most_selective(rule)
        if predicate is None:
            unindexed.append(rule)
        else:
            filed[place].append((predicate, rule))
    makers = (make for _, make in _BY_SELECTIVITY)
    lookups = [make(rules) for make, rules in zip(makers, filed, strict=True) if rules]
    return [*lookups, _Unindexed(unindexed)] if unindexed else lookups


def _most_selective(rule: Rule) -> tuple[int, Predicate | None]:
    """Return the position of a look-up and the predicate of `rule` that it finds, if any."""
    for place, (finds, _) in enumerate(_BY_SELECTIVITY):
        for predicate in rule.predicates:
            if finds(predicate):
                return place, predicate
    return 0, None
