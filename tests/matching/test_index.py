from __future__ import annotations

from hypothesis import given, settings

from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.matching.specification import first_match
from mockllm.prompt import Prompt
from tests.support.strategies import (
    chat_requests,
    chat_rules,
    header_sets,
    responses_requests,
    responses_rules,
)

Headers = dict[bytes, bytes]


@settings(max_examples=1000)
@given(chat_rules(), chat_requests(), header_sets())
def test_the_index_finds_what_the_specification_finds_in_chat(
    rules: list[Rule], prompt: Prompt, headers: Headers
) -> None:
    assert RuleIndex(rules).find(prompt, headers) is first_match(rules, prompt, headers)


@settings(max_examples=1000)
@given(responses_rules(), responses_requests(), header_sets())
def test_the_index_finds_what_the_specification_finds_in_responses(
    rules: list[Rule], prompt: Prompt, headers: Headers
) -> None:
    assert RuleIndex(rules).find(prompt, headers) is first_match(rules, prompt, headers)


def test_an_empty_index_finds_nothing() -> None:
    assert len(RuleIndex([])) == 0
