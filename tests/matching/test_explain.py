"""Differences between a rule and a request, and the nearest miss."""

from __future__ import annotations

import pytest
from hypothesis import given

from mockllm.matching.explain import MAX_SEARCHED, difference, nearest_miss, quote
from mockllm.matching.rule import HeaderRule, Rule
from mockllm.matching.specification import first_match
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support.rules import rule, user
from tests.support.strategies import ask_chat, chat_requests, chat_rules, header_sets


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (rule(CHAT, user("hello word")), "text differs at character 9: expected 'd', found 'ld'"),
        (rule(CHAT, user("xyz"), True), "no text contains 'xyz'"),
        (rule(CHAT, {"role": "system", "content": "x"}), "role is 'user', expected 'system'"),
        (rule(CHAT, user("hello world", name="a")), "other members than the text differ"),
        (
            rule(CHAT, user("hello"), True, HeaderRule(b"x-tenant-id", "X-Tenant-ID", b"a")),
            "header X-Tenant-ID is 'b', expected 'a'",
        ),
        (
            rule(CHAT, user("hello"), True, HeaderRule(b"x-no", "X-No", b"a", True)),
            "header X-No is absent, expected containing 'a'",
        ),
        (
            rule(CHAT, user("hello"), True, HeaderRule(b"authorization", "Authorization", b"k")),
            "header Authorization differs",
        ),
        (
            rule(CHAT, user("hello"), True, HeaderRule(b"x-goog-api-key", "X-Goog-Api-Key", b"k")),
            "header X-Goog-Api-Key differs",
        ),
        (rule(CHAT, user("hello"), True), ""),
    ],
)
def test_a_difference_gives_its_reason(wanted: Rule, reason: str) -> None:
    headers = {b"x-tenant-id": b"b", b"authorization": b"Bearer secret"}

    assert difference(wanted, ask_chat([user("hello world")]), headers).reason() == reason


def test_the_nearest_miss_is_the_one_that_shares_most() -> None:
    rules = [
        rule(CHAT, {"role": "system", "content": "hello world"}),
        rule(CHAT, user("help")),
        rule(CHAT, user("hello you")),
    ]

    nearest = nearest_miss(rules, ask_chat([user("hello world")]), {})

    assert nearest is not None
    assert nearest[0] is rules[2]
    assert nearest_miss([], ask_chat([user("hello world")]), {}) is None


@given(chat_rules(), chat_requests(), header_sets())
def test_the_nearest_miss_is_the_first_of_the_closest(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    found = [difference(wanted, prompt, headers) for wanted in rules]
    closest = max(found, key=lambda each: each.closeness, default=None)

    nearest = nearest_miss(rules, prompt, headers)

    if closest is None:
        assert nearest is None
    else:
        assert nearest == (rules[found.index(closest)], closest.reason())


@pytest.mark.parametrize("contains", [False, True])
def test_a_difference_in_a_long_text_is_located_to_the_character(contains: bool) -> None:
    """Even beyond the length that is searched for a piece of text."""
    text = "long " * (MAX_SEARCHED // 2)
    asked = ask_chat([user(text)])
    rules = [rule(CHAT, user(text[:100] + mark + text), contains) for mark in ("x", "y")]

    nearest = nearest_miss([*rules, rule(CHAT, user(text[:101] + "!"), contains)], asked, {})

    assert nearest is not None
    told = f"text differs at character 101: expected '!', found {quote(text[101:])}"
    assert nearest[1] == ("no text contains " + quote(text[:101] + "!") if contains else told)


def test_a_quote_is_cut_and_shows_it() -> None:
    assert (quote("short"), quote("x" * 100, 3)) == ("'short'", "'xxx'…")


@given(chat_rules(), chat_requests(), header_sets())
def test_there_is_no_difference_exactly_where_a_rule_holds(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    for wanted in rules:
        reason = difference(wanted, prompt, headers).reason()
        assert (reason == "") is (first_match([wanted], prompt, headers) is wanted)
