from __future__ import annotations

from hypothesis import given

from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from tests.support.strategies import chat_rules, mixed_rules, responses_rules


def one_by_one(rules: list[Rule]) -> list[tuple[Rule, Rule]]:
    """Each rule that an earlier one covers, and the first that does."""
    pairs = []
    for at, rule in enumerate(rules):
        covering = next((earlier for earlier in rules[:at] if earlier.covers(rule)), None)
        if covering is not None:
            pairs.append((rule, covering))
    return pairs


@given(chat_rules())
def test_the_shadowed_rules_of_chat_are_found(rules: list[Rule]) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)


@given(responses_rules())
def test_the_shadowed_rules_of_responses_are_found(rules: list[Rule]) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)


@given(mixed_rules())
def test_the_shadowed_rules_with_several_conditions_or_none_are_found(rules: list[Rule]) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)
