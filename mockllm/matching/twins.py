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


def find_twins(rules: Iterable[Rule]) -> Mapping[int, Twins]:
    """Return the twins of each rule that has some, itself included, by the rule's index."""
    groups: dict[frozenset[Predicate], dict[str, list[Rule]]] = {}
    for rule in rules:
        if rule.call_id:
            key = frozenset(predicate.without_call() for predicate in rule.predicates)
            groups.setdefault(key, {}).setdefault(rule.call_id, []).append(rule)
    twins: dict[int, Twins] = {}
    for group in groups.values():
        members = [rule for alike in group.values() for rule in alike]
        if len(members) > 1:
            twins |= dict.fromkeys((rule.index for rule in members), group)
    return twins


def first_twin(twins: Twins) -> Rule:
    """Return the first of `twins` in the order of the configuration."""
    return next(iter(twins.values()))[0]


def preferred(twins: Twins, prompt: Prompt) -> Sequence[Rule]:
    """Return those of `twins`, in order, that name a call whose result the prompt ends with."""
    call_ids = {each for message in prompt.last_messages for each in message.call_ids()}
    found = [rule for call_id in call_ids for rule in twins.get(call_id, ())]
    return sorted(found, key=lambda rule: rule.index)
