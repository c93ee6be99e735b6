from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.predicates import HasInputs, HeaderContains, HeaderEquals, Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.strategies import (
    ask_chat,
    ask_responses,
    chat_requests,
    chat_rules,
    header_predicates,
    header_sets,
    responses_requests,
    responses_rules,
)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (
            CHAT.compile_match(user("hello word"), False),
            "text differs at character 9: expected 'd', found 'ld'",
        ),
        (CHAT.compile_match(user("xyz"), True), "no text contains 'xyz'"),
        (
            CHAT.compile_match({"role": "system", "content": "x"}, False),
            "role is 'user', expected 'system'",
        ),
        (
            CHAT.compile_match(user("hello world", name="a"), False),
            "other members than the text differ",
        ),
        (
            HeaderEquals(b"x-tenant-id", "X-Tenant-ID", b"a"),
            "header X-Tenant-ID is 'b', expected 'a'",
        ),
        (
            HeaderContains(b"x-no", "X-No", b"a"),
            "header X-No is missing, expected containing 'a'",
        ),
        (HasInputs(2), "its response has 2 vectors, the request has 1 input"),
        (HeaderEquals(b"authorization", "Authorization", b"k"), "header Authorization differs"),
        (HeaderEquals(b"x-goog-api-key", "X-Goog-Api-Key", b"k"), "header X-Goog-Api-Key differs"),
    ],
)
def test_a_difference_says_why(predicate: Predicate, reason: str) -> None:
    prompt = ask_chat([user("hello world")])
    headers = {b"x-tenant-id": b"b", b"authorization": b"Bearer secret"}

    difference = predicate.difference(prompt, headers)

    assert difference is not None
    assert difference.reason() == reason


def test_another_number_of_items_is_a_difference() -> None:
    predicate = RESPONSES.compile_match("hi", False)

    difference = predicate.difference(ask_responses([user("before"), user("hi")]), {})

    assert difference is not None
    assert difference.reason() == "input has 2 items, expected 1"


def test_items_are_counted_where_the_last_is_a_system_message() -> None:
    predicate = RESPONSES.compile_match("hi", False)

    difference = predicate.difference(
        ask_responses([user("hi"), user("be kind", role="system")]), {}
    )

    assert difference is not None
    assert difference.reason() == "input has 2 items, expected 1"


def check_covers(predicates: list[Predicate], prompt: Prompt, headers: Headers) -> None:
    """A request that a covered predicate accepts is accepted by the one that covers it."""
    accepting = [each for each in predicates if each.difference(prompt, headers) is None]
    for earlier in predicates:
        if any(earlier.covers(later) for later in accepting):
            assert earlier in accepting


@given(st.lists(header_predicates(), max_size=6), header_sets())
def test_a_header_predicate_accepts_what_one_that_it_covers_accepts(
    predicates: list[Predicate], headers: Headers
) -> None:
    check_covers(predicates, ask_chat([user("hi")]), headers)


@given(chat_rules(), chat_requests())
def test_a_message_predicate_accepts_what_one_that_it_covers_accepts(
    rules: list[Rule], prompt: Prompt
) -> None:
    check_covers([rule.predicates[0] for rule in rules], prompt, {})


@given(responses_rules(), responses_requests())
def test_an_input_predicate_accepts_what_one_that_it_covers_accepts(
    rules: list[Rule], prompt: Prompt
) -> None:
    check_covers([rule.predicates[0] for rule in rules], prompt, {})


def test_a_predicate_covers_itself() -> None:
    predicates = [
        CHAT.compile_match(user("hi"), True),
        CHAT.compile_match(user("hi"), False),
        RESPONSES.compile_match([user("hi")], True),
        HeaderEquals(b"x-a", "X-A", b"a"),
        HeaderContains(b"x-a", "X-A", b"a"),
    ]

    assert all(predicate.covers(predicate) for predicate in predicates)
