from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from mockllm.matching.explain import nearest_miss
from mockllm.matching.predicates import HeaderEquals, Headers
from mockllm.matching.rule import Rule
from mockllm.matching.texts import MAX_SEARCHED, quote
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

    assert nearest == (
        rules[2],
        "text differs at character 6: expected 'you', found 'world'",
    )


def test_a_rule_that_fails_by_its_headers_only_is_nearest() -> None:
    message = CHAT.compile_match(user("hello"), False)
    header = HeaderEquals(b"x-tenant", "X-Tenant", b"a")
    rules = [chat_rule(0, user("hello!")), Rule(1, "mock 1", (message, header))]

    nearest = nearest_miss(rules, ask_chat([user("hello")]), {})

    assert nearest == (rules[1], "header X-Tenant is missing, expected 'a'")


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

    assert nearest == (None if closest is None else (closest[0], closest[1].reason()))


@pytest.mark.parametrize("contains", [False, True])
def test_the_place_where_a_long_text_differs_is_exact(contains: bool) -> None:
    """Also where it is longer than the part of a text that is searched."""
    text = "long " * (MAX_SEARCHED // 2)
    wanted = [text[:100] + "x" + text, text[:100] + "y" + text, text[:101] + "!"]
    rules = [chat_rule(index, user(each), contains=contains) for index, each in enumerate(wanted)]

    nearest = nearest_miss(rules, ask_chat([user(text)]), {})

    differs = f"text differs at character 101: expected '!', found {quote(text[101:])}"
    reason = f"no text contains {quote(text[:101] + '!')}" if contains else differs
    assert nearest == (rules[2], reason)
