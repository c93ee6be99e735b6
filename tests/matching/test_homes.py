"""Which conditions are looked up, and that their look-ups find every one that holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from mockllm.matching.homes import home_of
from mockllm.providers.openai.chat import CHAT
from tests.support.conversations import Conversation, as_chat, conversations
from tests.support.matches import Match, bodies, compile_rule, matches


@settings(max_examples=500)
@given(matches(1, body=bodies()), conversations())
def test_a_condition_holds_only_if_one_of_its_keys_does(
    match: Match, conversation: Conversation
) -> None:
    prompt = as_chat(conversation)
    for predicate in compile_rule(CHAT, match).predicates:
        home = home_of(predicate)
        if home is None:
            continue
        found = any(list(family.look_up([key])(prompt, {})) for family, key in home.keys)
        if predicate.difference(prompt, {}) is None:
            assert found
        elif home.decides:
            assert not found


@pytest.mark.parametrize(
    "match",
    [
        {"user": "hi"},
        {"last_user": {"ends_with": "hi"}},
        {"system": {"contains": "hi", "ignore_case": True}},
        {"any_message": {"role": "user", "text": "hi"}},
        {"tool_result": {"name": "f", "error": False}},
        {"model": ["a", {"starts_with": "b"}]},
        {"tools": ["f"]},
        {"tools": {"any": ["f", "g"]}},
        {"schema": "s"},
        {"turn": 2},
        {"step": 2},
        {"stream": True},
        {"user": {"regex": "weather.*Paris"}},
        {"body": {"$.metadata.tenant": "a"}},
        {"body": {"$.metadata.tenant": {"starts_with": "a"}}},
        {"any_of": [{"model": "a"}, {"system": {"contains": "b"}}]},
        {"headers": [{"name": "x-a", "value": "a"}]},
    ],
)
def test_a_condition_is_looked_up(match: Match) -> None:
    (predicate,) = compile_rule(CHAT, match).predicates

    assert home_of(predicate) is not None


@pytest.mark.parametrize(
    "match",
    [
        {"not": {"model": "a"}},
        {"tools": []},
        {"turn": {"at_least": 2}},
        {"any_message": {"role": "tool"}},
        {"body": {"$.a": {"exists": True}}},
        {"any_of": [{"model": "a"}, {"not": {"model": "b"}}]},
    ],
)
def test_what_many_requests_have_in_common_is_checked(match: Any) -> None:
    (predicate,) = compile_rule(CHAT, match).predicates

    assert home_of(predicate) is None
