"""The nodes of an index: rules that are filed by what a request can be looked up by.

`matching.index` has what they mean. A node has branches, one for each family of its rules, and a
branch has a node for each key. A node with few rules has none: its rules are checked one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from mockllm.matching.effort import Effort
from mockllm.matching.families import Family
from mockllm.matching.homes import Home, home_of
from mockllm.matching.lookups import (
    DividedLookUp,
    LookUp,
    TextLookUp,
    ValueLookUp,
    in_pieces,
)
from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.matching.twins import Twins
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

MAX_CHECKED = 4
"""Rules that are checked one by one rather than looked up: a look-up takes as long."""
PER_RULE = 2_000  # nanoseconds to check a rule by a predicate, beside its texts
PER_VISIT = 500  # nanoseconds to visit a node, beside its rules
PER_FILED = 2_000  # nanoseconds to file a rule under a key
PER_NODE = 5_000  # nanoseconds to make the node of a key
PER_KEY = 1_500  # nanoseconds to add a key to a look-up
MAX_DEPTH = 10
"""Nodes in nodes: each halves its rules at least where they can be told apart, and rules with a
thousand predicates in common would fill as many."""

_Candidate = tuple[Predicate, Home]
"""A predicate by which a rule can be looked up, with its keys."""


class NodeEntry(NamedTuple):
    """A rule in a node, with the predicates that no look-up has decided and those by which it can
    be looked up further."""

    rule: Rule
    unchecked: tuple[Predicate, ...]
    candidates: tuple[_Candidate, ...]

    @classmethod
    def of(cls, rule: Rule) -> NodeEntry:
        """Return the entry of a rule of which nothing is decided."""
        homes = ((each, home_of(each)) for each in rule.predicates)
        candidates = tuple((each, home) for each, home in homes if home is not None)
        return cls(rule, rule.predicates, candidates)


class Branch(NamedTuple):
    """The rules of a node that are found by one look-up: a node for each of its keys. `at_once` is
    how the look-up is called in the least time. `lowest` is the first index of their rules."""

    at_once: LookUp
    nodes: list[Node]
    lowest: int
    look_up: LookUp
    divided: DividedLookUp | None

    def find(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[Iterator[Node]]:
        """Return the nodes of the keys that hold, with pauses."""
        if self.divided is not None:
            places = yield from self.divided(prompt)
        else:
            places = yield from in_pieces(self.look_up, prompt, headers, effort)
        return map(self.nodes.__getitem__, places)


class Node:
    """Rules whose looked-up predicates hold, in order."""

    __slots__ = ("branches", "checked", "families", "leaf")

    def __init__(self, entries: Sequence[NodeEntry] = ()) -> None:
        self.families: tuple[Family, ...] = ()
        """What the look-ups of the branches read."""
        self.branches: tuple[Branch, ...] = ()
        self._check(entries)

    def _check(self, entries: Sequence[NodeEntry]) -> None:
        self.checked = tuple((entry.rule, entry.unchecked) for entry in entries)
        """Rules that are checked one by one, with the predicates to check."""
        is_leaf = bool(self.checked) and not self.branches and not self.checked[0][1]
        self.leaf = self.checked[0][0] if is_leaf else None
        """The rule that is always the first to match here, if there is one."""

    def divide(self, entries: Sequence[NodeEntry], depth: int, effort: Effort) -> Iterator[bool]:
        """Have those of `entries` looked up that can be, and check the others, with pauses. There
        was no entry before."""
        filed: dict[Family, dict[Any, list[NodeEntry]]] = {}
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
        nodes: list[Node] = []
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


class Search:
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

    def visit(self, node: Node) -> Iterator[bool]:
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
    family: Family, by_key: Mapping[Any, list[NodeEntry]], depth: int, effort: Effort
) -> Pieces[Branch]:
    nodes: list[Node] = []
    for below in by_key.values():
        if len(below) > MAX_CHECKED and depth + 1 < MAX_DEPTH:
            node = Node()
            yield from node.divide(below, depth + 1, effort)
        else:
            node = Node(below)
        nodes.append(node)
        if effort.is_much(PER_NODE):
            yield False
    lowest = min(below[0].rule.index for below in by_key.values())
    keys = tuple(by_key)
    if effort.is_much(len(keys) * PER_KEY):
        yield False
    look_up = family.look_up(keys)
    return Branch(_method_of(look_up), nodes, lowest, look_up, family.divide(keys))


def _method_of(look_up: LookUp) -> LookUp:
    """Return how a look-up is called in the least time: an object with a `__call__` by that, which
    takes 0.02 µs instead of 0.1."""
    return look_up.__call__ if isinstance(look_up, (TextLookUp, ValueLookUp)) else look_up


def _file_all(
    filed: dict[Family, dict[Any, list[NodeEntry]]], entries: Sequence[NodeEntry], effort: Effort
) -> Pieces[list[NodeEntry]]:
    """Add the entries to the lists of their keys, and return those that have none, with pauses."""
    others: list[NodeEntry] = []
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
    filed: dict[Family, dict[Any, list[NodeEntry]]],
    entry: NodeEntry,
    predicate: Predicate,
    home: Home,
) -> None:
    """Add `entry` to the lists of the keys of `predicate`, with what is left to check there."""
    below = _without(entry, predicate, decided=home.decides)
    for family, key in dict.fromkeys(home.keys) if len(home.keys) > 1 else home.keys:
        filed.setdefault(family, {}).setdefault(key, []).append(below)


def _without(entry: NodeEntry, predicate: Predicate, *, decided: bool) -> NodeEntry:
    """Return an entry that is not looked up by `predicate` again nor, if it is `decided`, checked
    for it."""
    rule, unchecked, candidates = entry
    if len(unchecked) == len(candidates) == 1:  # it is the only one, as in most mocks
        return NodeEntry(rule, () if decided else unchecked, ())
    if decided:
        unchecked = tuple(each for each in unchecked if each != predicate)
    return NodeEntry(rule, unchecked, tuple(each for each in candidates if each[0] != predicate))


def _most_selective(
    entries: Sequence[NodeEntry], effort: Effort
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
