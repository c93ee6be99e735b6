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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any, NamedTuple

from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.families import Family
from mockllm.matching.header_predicates import HeaderContains
from mockllm.matching.homes import Home, home_of
from mockllm.matching.lookups import (
    DividedLookUp,
    LookUp,
    TextLookUp,
    ValueLookUp,
    in_pieces,
)
from mockllm.matching.near_misses import NearMisses
from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.matching.subjects import Subject
from mockllm.matching.twins import Twins, find_twins, preferred
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt

MAX_CHECKED = 4
"""Rules that are checked one by one rather than looked up: a look-up takes as long."""
PER_RULE = 2_000  # nanoseconds to check a rule by a predicate, beside its texts
PER_VISIT = 500  # nanoseconds to visit a node, beside its rules
PER_READ = 3_000  # nanoseconds to read what a rule depends on
PER_ENTRY = 10_000  # nanoseconds to find the look-ups of a rule
PER_FILED = 2_000  # nanoseconds to file a rule under a key
PER_NODE = 5_000  # nanoseconds to make the node of a key
PER_KEY = 1_500  # nanoseconds to add a key to a look-up
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
MAX_DEPTH = 10
"""Nodes in nodes: each halves its rules at least where they can be told apart, and rules with a
thousand predicates in common would fill as many."""


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
        entries: list[_Entry] = []
        for rule in rules:
            entries.append(_Entry.of(rule))
            if effort.is_much(PER_ENTRY):
                yield False
        self._root = _Node()
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
        search = _Search(prompt, headers, effort, self._twins)
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


# --- Nodes ---------------------------------------------------------------------------------------


_Candidate = tuple[Predicate, Home]
"""A predicate by which a rule can be looked up, with its keys."""


class _Entry(NamedTuple):
    """A rule in a node, with the predicates that no look-up has decided and those by which it can
    be looked up further."""

    rule: Rule
    unchecked: tuple[Predicate, ...]
    candidates: tuple[_Candidate, ...]

    @classmethod
    def of(cls, rule: Rule) -> _Entry:
        """Return the entry of a rule of which nothing is decided."""
        homes = ((each, home_of(each)) for each in rule.predicates)
        candidates = tuple((each, home) for each, home in homes if home is not None)
        return cls(rule, rule.predicates, candidates)


class _Branch(NamedTuple):
    """The rules of a node that are found by one look-up: a node for each of its keys. `at_once` is
    how the look-up is called in the least time. `lowest` is the first index of their rules."""

    at_once: LookUp
    nodes: list[_Node]
    lowest: int
    look_up: LookUp
    divided: DividedLookUp | None

    def find(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[Iterator[_Node]]:
        """Return the nodes of the keys that hold, with pauses."""
        if self.divided is not None:
            places = yield from self.divided(prompt)
        else:
            places = yield from in_pieces(self.look_up, prompt, headers, effort)
        return map(self.nodes.__getitem__, places)


class _Node:
    """Rules whose looked-up predicates hold, in order."""

    __slots__ = ("branches", "checked", "families", "leaf")

    def __init__(self, entries: Sequence[_Entry] = ()) -> None:
        self.families: tuple[Family, ...] = ()
        """What the look-ups of the branches read."""
        self.branches: tuple[_Branch, ...] = ()
        self._check(entries)

    def _check(self, entries: Sequence[_Entry]) -> None:
        self.checked = tuple((entry.rule, entry.unchecked) for entry in entries)
        """Rules that are checked one by one, with the predicates to check."""
        is_leaf = bool(self.checked) and not self.branches and not self.checked[0][1]
        self.leaf = self.checked[0][0] if is_leaf else None
        """The rule that is always the first to match here, if there is one."""

    def divide(self, entries: Sequence[_Entry], depth: int, effort: Effort) -> Iterator[bool]:
        """Have those of `entries` looked up that can be, and check the others, with pauses. There
        was no entry before."""
        filed: dict[Family, dict[Any, list[_Entry]]] = {}
        checked = yield from _file_all(filed, entries, effort)
        self.families = tuple(sorted(filed, key=lambda family: family.rank))
        for family in self.families:
            branch = yield from _branch(family, filed[family], depth, effort)
            self.branches = (*self.branches, branch)
        self._check(checked)

    def first(self, best: Rule | None, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or `best` if that is earlier."""
        for rule, unchecked in self.checked:
            if best is not None and rule.index >= best.index:
                break
            for predicate in unchecked:
                if predicate.difference(prompt, headers) is not None:
                    break
            else:
                best = rule
                break
        for at_once, nodes, lowest, _, _ in self.branches:
            if best is None or lowest < best.index:
                for place in at_once(prompt, headers):
                    leaf = nodes[place].leaf
                    if leaf is None:
                        best = nodes[place].first(best, prompt, headers)
                    elif best is None or leaf.index < best.index:
                        best = leaf
        return best

    def find_all(
        self,
        found: dict[int, Rule],
        prompt: Prompt,
        headers: Headers,
        twins: Mapping[int, Twins],
    ) -> None:
        """Add the rules that match to `found`, by their indices: of each list up to the first
        without state and twins."""
        for rule, unchecked in self.checked:
            for predicate in unchecked:
                if predicate.difference(prompt, headers) is not None:
                    break
            else:
                found[rule.index] = rule
                if not rule.stateful and rule.index not in twins:
                    break
        for at_once, nodes, _, _, _ in self.branches:
            for place in at_once(prompt, headers):
                nodes[place].find_all(found, prompt, headers, twins)

    def reached(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[Iterator[Rule]]:
        """Return the rules of which a look-up has found one predicate to hold, and those that have
        none to look up."""
        nodes: list[_Node] = []
        for branch in self.branches:
            nodes += yield from branch.find(prompt, headers, effort)
        return chain(
            chain.from_iterable(node.rules() for node in nodes), (rule for rule, _ in self.checked)
        )

    def rules(self) -> Iterator[Rule]:
        """Yield all rules, each list in order."""
        yield from (rule for rule, _ in self.checked)
        for branch in self.branches:
            for node in branch.nodes:
                yield from node.rules()


class _Search:
    """A search for the rules that match, with pauses. `matching` has those that were found, by
    their indices: all but some behind one without state and twins."""

    def __init__(
        self, prompt: Prompt, headers: Headers, effort: Effort, twins: Mapping[int, Twins]
    ) -> None:
        self._prompt = prompt
        self._headers = headers
        self._effort = effort
        self._twins = twins
        self._last: int | None = None  # index of the first one found without state and twins
        self._failed: set[int] = set()  # the indices of rules that were found not to match
        self.matching: dict[int, Rule] = {}

    def visit(self, node: _Node) -> Iterator[bool]:
        """Search a node and those below it."""
        if self._effort.is_much(PER_VISIT):
            yield False
        for rule, unchecked in node.checked:
            if self._is_behind(rule.index):
                break
            if rule.index in self._failed:  # in another node
                continue
            if not (yield from self._matches(unchecked)):
                self._failed.add(rule.index)
            else:
                self.matching[rule.index] = rule
                if not rule.stateful and rule.index not in self._twins:
                    self._last = rule.index
                    break
        for branch in node.branches:
            if not self._is_behind(branch.lowest):
                found = yield from branch.find(self._prompt, self._headers, self._effort)
                for below in found:
                    yield from self.visit(below)

    def _is_behind(self, index: int) -> bool:
        return self._last is not None and index > self._last

    def _matches(self, predicates: Sequence[Predicate]) -> Pieces[bool]:
        for predicate in predicates:
            difference = yield from predicate.difference_in_pieces(
                self._prompt, self._headers, self._effort
            )
            if self._effort.is_much(PER_RULE):
                yield False
            if difference is not None:
                return False
        return True


def _branch(
    family: Family, by_key: Mapping[Any, list[_Entry]], depth: int, effort: Effort
) -> Pieces[_Branch]:
    nodes: list[_Node] = []
    for below in by_key.values():
        if len(below) > MAX_CHECKED and depth + 1 < MAX_DEPTH:
            node = _Node()
            yield from node.divide(below, depth + 1, effort)
        else:
            node = _Node(below)
        nodes.append(node)
        if effort.is_much(PER_NODE):
            yield False
    lowest = min(below[0].rule.index for below in by_key.values())
    keys = tuple(by_key)
    if effort.is_much(len(keys) * PER_KEY):
        yield False
    look_up = family.look_up(keys)
    return _Branch(_method_of(look_up), nodes, lowest, look_up, family.divide(keys))


def _method_of(look_up: LookUp) -> LookUp:
    """Return how a look-up is called in the least time: an object with a `__call__` by that, which
    takes 0.02 µs instead of 0.1."""
    return look_up.__call__ if isinstance(look_up, (TextLookUp, ValueLookUp)) else look_up


def _file_all(
    filed: dict[Family, dict[Any, list[_Entry]]], entries: Sequence[_Entry], effort: Effort
) -> Pieces[list[_Entry]]:
    """Add the entries to the lists of their keys, and return those that have none, with pauses."""
    others: list[_Entry] = []
    choices = yield from _most_selective(entries, effort)
    for entry, choice in zip(entries, choices, strict=True):
        if choice is None:
            others.append(entry)
        else:
            _file(filed, entry, *choice)
            if effort.is_much(PER_FILED * len(choice[1].keys)):
                yield False
    return others


def _file(
    filed: dict[Family, dict[Any, list[_Entry]]], entry: _Entry, predicate: Predicate, home: Home
) -> None:
    """Add `entry` to the lists of the keys of `predicate`, with what is left to check there."""
    below = _without(entry, predicate, decided=home.decides)
    for family, key in dict.fromkeys(home.keys) if len(home.keys) > 1 else home.keys:
        filed.setdefault(family, {}).setdefault(key, []).append(below)


def _without(entry: _Entry, predicate: Predicate, *, decided: bool) -> _Entry:
    """Return an entry that is not looked up by `predicate` again nor, if it is `decided`, checked
    for it."""
    rule, unchecked, candidates = entry
    if len(unchecked) == len(candidates) == 1:  # it is the only one, as in most mocks
        return _Entry(rule, () if decided else unchecked, ())
    if decided:
        unchecked = tuple(each for each in unchecked if each != predicate)
    return _Entry(rule, unchecked, tuple(each for each in candidates if each[0] != predicate))


def _most_selective(
    entries: Sequence[_Entry], effort: Effort
) -> Pieces[Sequence[_Candidate | None]]:
    """Return, for each entry, the predicate by which to look it up: that which the fewest others
    share. Sharing with a few is as good as with none, since these are checked. None if there is
    none that can be looked up."""
    if all(len(entry.candidates) <= 1 for entry in entries):  # there is no choice
        return [next(iter(entry.candidates), None) for entry in entries]
    sharing: Counter[tuple[Family, Any]] = Counter()
    for entry in entries:
        for _, home in entry.candidates:
            sharing.update(home.keys)
            if effort.is_much(PER_FILED * len(home.keys)):
                yield False

    def cost(candidate: _Candidate) -> tuple[int, int]:
        home = candidate[1]
        shared = sum(sharing[key] for key in home.keys)
        return (shared if shared > MAX_CHECKED else 0), home.rank

    choices: list[_Candidate | None] = []
    for entry in entries:
        choices.append(min(entry.candidates, key=cost, default=None))
        if effort.is_much(PER_FILED * sum(len(home.keys) for _, home in entry.candidates)):
            yield False
    return choices
