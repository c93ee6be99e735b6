"""Rules that differ in the id of a call alone: of those, the id decides.

A mock of a tool's result has the id of the call because the API's form asks for it, and usually
means any result with its text. Only where another mock differs in nothing but the call, as with two
calls of one tool that have the same result, does the id tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mockllm.matching.predicate import Predicate
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt

Twins = Mapping[str, Sequence[Rule]]
"""Rules that are equal but for the call that they prefer, by its id. The first of them is the first
of the first call."""


class TwinGroups:
    """The twins among rules that come and go. Those of a moment do not change afterwards."""

    def __init__(self) -> None:
        self._groups: dict[frozenset[Predicate], dict[str, list[Rule]]] = {}
        self._changed = set[frozenset[Predicate]]()
        self._twins: Mapping[int, Twins] = {}

    def add(self, rule: Rule) -> None:
        """Add a rule, which comes behind all others of its call."""
        if rule.call_id:
            key = _key_of(rule)
            group = self._groups.get(key, {})
            self._groups[key] = {**group, rule.call_id: [*group.get(rule.call_id, ()), rule]}
            self._changed.add(key)

    def remove(self, rule: Rule) -> None:
        """Remove a rule."""
        if rule.call_id:
            key = _key_of(rule)
            group = {call: [*rules] for call, rules in self._groups.pop(key).items()}
            group[rule.call_id].remove(rule)
            self._groups[key] = {call: rules for call, rules in group.items() if rules}
            self._twins = {at: each for at, each in self._twins.items() if at != rule.index}
            self._changed.add(key)

    def twins(self) -> Mapping[int, Twins]:
        """Return the twins of each rule that has some at this moment, as `find_twins` does."""
        if self._changed:
            twins = dict(self._twins)
            for key in self._changed:
                group = self._groups[key]
                members = [rule for alike in group.values() for rule in alike]
                if len(members) > 1:
                    twins.update(dict.fromkeys((rule.index for rule in members), group))
                else:
                    for rule in members:
                        twins.pop(rule.index, None)
                if not members:
                    del self._groups[key]
            self._twins = twins
            self._changed.clear()
        return self._twins


def find_twins(rules: Iterable[Rule]) -> Mapping[int, Twins]:
    """Return the twins of each rule that has some, itself included, by the rule's index."""
    groups: dict[frozenset[Predicate], dict[str, list[Rule]]] = {}
    for rule in rules:
        if rule.call_id:
            groups.setdefault(_key_of(rule), {}).setdefault(rule.call_id, []).append(rule)
    twins: dict[int, Twins] = {}
    for group in groups.values():
        members = [rule for alike in group.values() for rule in alike]
        if len(members) > 1:
            twins |= dict.fromkeys((rule.index for rule in members), group)
    return twins


def _key_of(rule: Rule) -> frozenset[Predicate]:
    return frozenset(predicate.without_call() for predicate in rule.predicates)


def first_twin(twins: Twins) -> Rule:
    """Return the first of `twins` in the order of the configuration."""
    return next(iter(twins.values()))[0]


def preferred(twins: Twins, prompt: Prompt) -> Sequence[Rule]:
    """Return those of `twins`, in order, that name a call whose result the prompt ends with."""
    call_ids = {each for message in prompt.last_messages for each in message.call_ids()}
    found = [rule for call_id in call_ids for rule in twins.get(call_id, ())]
    return sorted(found, key=lambda rule: rule.index)
