from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from mockllm.matching.explain import NearMiss, nearest_miss
from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.matching.texts import MAX_START_SEARCH, quote
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support.strategies import ask_chat, chat_requests, chat_rules, header_sets


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def chat_rule(index: int, message: dict[str, Any], *, contains: bool = False) -> Rule:
    return Rule(index, f"mock {index}", (CHAT.compile_match(message, contains),))


def test_the_nearest_miss_is_the_rule_that_shares_most() -> None:
    rules = [
        chat_rule(0, {"role": "system", "content": "hello world"}),
        chat_rule(1, user("help")),
        chat_rule(2, user("hello you")),
    ]

    nearest = nearest_miss(rules, ask_chat([user("hello world")]), {})

    reason = "text differs at character 6: expected 'you', found 'world'"
    assert nearest == (rules[2], reason, reason)


def test_a_rule_that_fails_by_its_headers_only_is_nearest() -> None:
    message = CHAT.compile_match(user("hello"), False)
    header = HeaderEquals(b"x-tenant", "X-Tenant", b"a")
    rules = [chat_rule(0, user("hello!")), Rule(1, "mock 1", (message, header))]

    nearest = nearest_miss(rules, ask_chat([user("hello")]), {})

    reason = "header X-Tenant is missing, expected 'a'"
    assert nearest == (rules[1], reason, "header X-Tenant is missing")


def test_there_is_no_nearest_miss_where_there_are_no_rules() -> None:
    assert nearest_miss([], ask_chat([user("hello")]), {}) is None


@given(chat_rules(), chat_requests(), header_sets())
def test_the_nearest_miss_is_the_first_of_the_closest(
    rules: list[Rule], prompt: Prompt, headers: Headers
) -> None:
    differences = [rule.difference(prompt, headers, closer_than=0) for rule in rules]
    misses = [(rule, each) for rule, each in zip(rules, differences, strict=True) if each]
    closest = max(misses, key=lambda miss: miss[1].closeness, default=None)

    nearest = nearest_miss(rules, prompt, headers)

    assert nearest == (None if closest is None else NearMiss.of(*closest))


@pytest.mark.parametrize("contains", [False, True])
def test_the_place_where_a_long_text_differs_is_exact(contains: bool) -> None:
    """Also where it is longer than the part of a text that is searched."""
    text = "long " * (MAX_START_SEARCH // 2)
    wanted = [text[:100] + "x" + text, text[:100] + "y" + text, text[:101] + "!"]
    rules = [chat_rule(index, user(each), contains=contains) for index, each in enumerate(wanted)]

    nearest = nearest_miss(rules, ask_chat([user(text)]), {})

    differs = f"text differs at character 101: expected '!', found {quote(text[101:])}"
    reason = f"no text contains {quote(text[:101] + '!')}" if contains else differs
    assert nearest == (rules[2], reason, reason)


@pytest.mark.parametrize(
    ("texts", "asked", "nearest"),
    [
        (["weather in Rome?", "WEATHER IN PARIS"], "weather in Paris", 1),
        (["caf", "Caf\u00e9 noir"], "cafe\u0301 noir", 1),
        (["ab", "a\u00a0 b"], "a b", 1),
        (["wh", "weather"], "what about the weather?", 1),
    ],
)
@pytest.mark.parametrize("contains", [False, True])
def test_a_rule_that_differs_in_what_readers_overlook_is_nearer(
    texts: list[str], asked: str, nearest: int, *, contains: bool
) -> None:
    rules = [chat_rule(at, user(text), contains=contains) for at, text in enumerate(texts)]
    prompt = ask_chat([user(asked)])

    found = nearest_miss(rules, prompt, {})

    if all(rule.difference(prompt, {}) is not None for rule in rules):
        assert found is not None
        assert found.rule is rules[nearest]


def test_a_result_with_the_same_text_is_nearer_than_one_with_a_similar_text() -> None:
    def result(call_id: str, content: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": call_id, "content": content}

    rules = [chat_rule(0, result("a", "15 degrees in Paris")), chat_rule(1, result("b", "15"))]

    found = nearest_miss(rules, ask_chat([result("a", "15")]), {})

    assert found is not None
    assert found.rule is rules[1]
    assert found.reason.startswith("tool_call_id differs at character 0: expected 'b', found 'a'")
