"""An index of the rules of one API: the results of `matching.specification`, without comparing
every rule.

Each rule is filed under the most selective of its predicates that can be looked up; its other
predicates are checked only if that one holds. Four rules of Chat Completions:

    0  the message is {"role": "user", "content": "hi"}, x-tenant is a
    1  the message is {"role": "user", "content": "hi"}, x-tenant is b
    2  the user's message contains "weather"
    3  the user's message contains "hi"

Rules 0 and 1 are in the node of a dictionary, under the canonical form of the message. The texts of
rules 2 and 3 are in an automaton that searches for all of them at once. A request with the message
"hi" for tenant b leads to two nodes: one yields rule 1, the other rule 3. The first in the order of
the configuration wins: rule 1. A node with many rules is an index itself: a thousand tenants with
the same message are found by their header as fast as one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.header_predicates import HeaderContains
from mockllm.matching.homes import home_of
from mockllm.matching.near_misses import NearMisses
from mockllm.matching.nodes import Node, NodeEntry, Search
from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.matching.subjects import Subject
from mockllm.matching.twins import Twins, find_twins, preferred
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt

PER_READ = 3_000  # nanoseconds to read what a rule depends on
PER_ENTRY = 10_000  # nanoseconds to find the look-ups of a rule
PER_NEAR_MISS = 1_000  # nanoseconds to file a rule for near misses
PER_MEASURED = 1_000  # nanoseconds to count a rule
MAX_CONDITIONS = 1_000  # of a rule that is decided without a pause: 1 to 3 ms
MAX_IN_HEADERS = 100  # texts that are looked for in headers without a pause: 1 to 4 ms
MAX_BRANCHES = 1_000  # of an index in which rules are found without a pause
MAX_SMALL = 16 * 1024  # bytes of a body that has few texts
MAX_PLAIN = 64 * 1024  # bytes of a plain body of which only the last words are looked at
MAX_RULE_BYTES = 1_000_000  # bytes of a body times rules; if all rules occur in all of it, some ms
MIN_SEARCHED = 200
"""Bytes of a body that take no longer to search than it takes to check a rule: at most 5,000 are
checked without a pause, in 5 ms."""
_OF_LAST_WORDS = frozenset({*Subject.USER.value.readings, *Subject.LAST_USER.value.readings})
"""Readings of which those of a plain prompt take no longer than to look at a few messages."""


class RuleIndex:
    """An immutable index of `rules`, which are in the order of the configuration."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        finish(self._build(rules, find_twins(rules), Effort()))

    @classmethod
    def in_pieces(cls, rules: Sequence[Rule], effort: Effort) -> Pieces[RuleIndex]:
        """Return the index of rules none of which has twins, with pauses."""
        index = cls.__new__(cls)
        yield from index._build(rules, {}, effort)
        return index

    def with_twins(self, twins: Mapping[int, Twins]) -> RuleIndex:
        """Return an index of the same rules with these twins, some of which may be in another index
        of a `layers.LayeredIndex`."""
        if not (twins or self._twins):
            return self
        other = copy(self)
        other._twins = twins
        return other

    def _build(
        self, rules: Sequence[Rule], twins: Mapping[int, Twins], effort: Effort
    ) -> Pieces[None]:
        """Determine all attributes, with pauses."""
        self.rules = tuple(rules)
        yield from self._read(effort)
        entries: list[NodeEntry] = []
        for rule in rules:
            entries.append(NodeEntry.of(rule))
            if effort.is_much(PER_ENTRY):
                yield False
        self._root = Node()
        yield from self._root.divide(entries, 0, effort)
        self._twins = twins
        if effort.is_much(len(rules) * PER_NEAR_MISS):
            yield False
        self._near_misses = NearMisses(rules)
        if effort.is_much(len(rules) * PER_MEASURED):
            yield False
        self._measure()

    def _read(self, effort: Effort) -> Pieces[None]:
        """Determine what the rules depend on, with pauses."""
        names: dict[bytes, None] = {}
        readings: dict[Callable[[Prompt], Any], None] = {}
        self.looks_back = False
        """True if some rule depends on `Prompt.earlier`."""
        self.reads_one_message = True
        """True if that holds of all conditions (`Predicate.reads_one_message`)."""
        self.stateful = False
        """True if some rule has state."""
        self.is_slow = False
        """True if some condition is (`Predicate.is_slow`), or if there are many in a rule, or of
        headers, which may be long where bodies are small."""
        in_headers = 0
        for rule in self.rules:
            self.is_slow = self.is_slow or rule.extent > MAX_CONDITIONS
            self.stateful = self.stateful or rule.stateful
            for predicate in rule.predicates:
                names.update(dict.fromkeys(predicate.header_names))
                readings.update(dict.fromkeys(predicate.readings))
                self.looks_back = self.looks_back or predicate.looks_back
                self.reads_one_message = self.reads_one_message and predicate.reads_one_message
                self.is_slow = self.is_slow or predicate.is_slow
                in_headers += isinstance(predicate, HeaderContains)
            if effort.is_much(PER_READ):
                yield False
        self.header_names = tuple(names)
        """The headers that some rule depends on, in lower case, each once."""
        self.is_slow = self.is_slow or in_headers > MAX_IN_HEADERS
        self.readings = tuple(readings)
        """What the rules read of a conversation, in order."""

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or None."""
        best = self._root.first(None, prompt, headers)
        if self._twins and best is not None:
            return self._preferred(best, prompt)[0]
        return best

    def candidates(self, prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
        """Return the rules that match, in order, up to and including the first without state."""
        if not self.stateful:
            rule = self.find(prompt, headers)
            return () if rule is None else (rule,)
        matching: dict[int, Rule] = {}  # by index, since a rule may be in several nodes
        self._root.find_all(matching, prompt, headers, self._twins)
        return self._first_of(matching, prompt)

    def takes_long(self, size: int, *, is_plain: bool = False) -> bool:
        """Return True if it may take long to find the rules that match a request with a body of
        `size` bytes, which `is_plain` if that of its prompt is."""
        return self.is_slow or size > (self.max_plain if is_plain else self.max_quick)

    def _measure(self) -> None:
        """Determine what `takes_long` returns."""
        root = self._root
        self.is_slow = self.is_slow or len(root.branches) > MAX_BRANCHES
        self._branches = [
            (family, len(branch.nodes), max(sum(1 for _ in node.rules()) for node in branch.nodes))
            for family, branch in zip(root.families, root.branches, strict=True)
        ]
        reads_little = self.reads_one_message and _OF_LAST_WORDS.issuperset(self.readings)
        self.max_quick = largest_quick([self], MAX_SMALL)
        """Bytes of the largest body for which it does not take long to find rules."""
        self.max_plain = largest_quick([self], MAX_PLAIN if reads_little else MAX_SMALL)
        """The same for bodies that are plain (`takes_long`)."""

    def nodes(self) -> Iterator[object]:
        """Yield all that takes long to be freed, beside the rules."""
        for branch in self._root.branches:
            yield from branch.nodes
        yield from self._near_misses.beginnings

    def count_found(self, size: int) -> int:
        """Return how many rules a request with a body of `size` bytes can find at most."""
        found = len(self._root.checked)
        for family, keys, rules in self._branches:
            holding = family.holding(size)
            found += rules * (keys if holding is None else min(holding, keys))
        return found

    def search(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[tuple[Rule, ...]]:
        """Return the `candidates`, with pauses."""
        search = Search(prompt, headers, effort, self._twins)
        yield from search.visit(self._root)
        return self._first_of(search.matching, prompt)

    def _first_of(self, matching: Mapping[int, Rule], prompt: Prompt) -> tuple[Rule, ...]:
        """Return the candidates among all rules that match, which are given by their indices."""
        if len(matching) == 1 and not self._twins:
            return tuple(matching.values())
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
        """Return what `search_nearest_miss` does, without pauses."""
        return finish(self.search_nearest_miss(prompt, headers, Effort()))

    def search_nearest_miss(
        self, prompt: Prompt, headers: Headers, effort: Effort
    ) -> Pieces[NearMiss | None]:
        """Return the rule that is closest to matching a prompt that no rule matches, with pauses;
        None if there are no rules."""
        partly = yield from self._root.reached(prompt, headers, effort)
        return (yield from self._near_misses.find(prompt, headers, partly, effort))


def largest_quick(indices: Sequence[RuleIndex], largest: int) -> int:
    """Return the bytes of the largest body, up to `largest`, of which no more than `MAX_RULE_BYTES`
    are searched, considering how many rules of all `indices` one request can find."""

    def takes_long(size: int) -> bool:
        found = sum(index.count_found(size) for index in indices)
        return max(size, MIN_SEARCHED) * found > MAX_RULE_BYTES

    if not takes_long(largest):  # as nearly always
        return largest
    return bisect_left(range(1 + largest), True, key=takes_long) - 1


def count_look_ups(rule: Rule) -> int:
    """Return the number of keys by which a rule may be looked up: those of one of its conditions,
    the most."""
    homes = map(home_of, rule.predicates)
    return max((len(home.keys) for home in homes if home is not None), default=0)


def is_reusable(candidates: Sequence[Rule]) -> bool:
    """Return True if an equal request always has the same match: neither the rule that answers nor
    any earlier one that matches has state. Such a rule is the only candidate."""
    return not candidates or not candidates[0].stateful
