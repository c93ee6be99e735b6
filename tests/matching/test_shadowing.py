from __future__ import annotations

from hypothesis import given

from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.matching.specification import first_match
from mockllm.prompt import Prompt
from tests.support.strategies import (
    chat_requests,
    chat_rules,
    header_sets,
    mixed_rules,
    responses_rules,
)


def one_by_one(rules: list[Rule]) -> list[tuple[Rule, Rule]]:
    """Each rule that an earlier one covers, and the first that does."""
    pairs = []
    for at, rule in enumerate(rules):
        covering = next((earlier for earlier in rules[:at] if earlier.covers(rule)), None)
        if covering is not None:
            pairs.append((rule, covering))
    return pairs


@given(chat_rules())
def test_shadowed_chat_rules_are_found_as_one_by_one(rules: list[Rule]) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)


@given(responses_rules())
def test_shadowed_responses_rules_are_found_as_one_by_one(rules: list[Rule]) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)


@given(mixed_rules())
def test_shadowed_rules_with_several_conditions_or_none_are_found_as_one_by_one(
    rules: list[Rule],
) -> None:
    assert list(find_shadowed(rules)) == one_by_one(rules)


@given(chat_rules(), chat_requests(), header_sets())
def test_a_covered_rule_is_never_reached(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    for at, later in enumerate(rules):
        if any(earlier.covers(later) for earlier in rules[:at]):
            assert first_match(rules[: at + 1], prompt, headers) is not later
