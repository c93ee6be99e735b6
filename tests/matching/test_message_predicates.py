from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given

from mockllm.exchange import Request
from mockllm.matching import message_predicates
from mockllm.matching.index import RuleIndex
from mockllm.matching.predicate import Predicate
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from tests.support.rules import check_covers, user
from tests.support.strategies import (
    ask_chat,
    ask_embeddings,
    ask_messages,
    ask_responses,
    chat_requests,
    chat_rules,
    responses_requests,
    responses_rules,
)

REMEDY = '; the request contains it: write "match_type": "contains"'


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
            f"name is missing, expected 'a'{REMEDY}",
        ),
    ],
)
def test_a_difference_says_why(predicate: Predicate, reason: str) -> None:
    prompt = ask_chat([user("hello world")])

    difference = predicate.difference(prompt, {})

    assert difference is not None
    assert difference.reason() == reason


def test_another_number_of_items_is_a_difference() -> None:
    predicate = RESPONSES.compile_match("hi", False)

    difference = predicate.difference(ask_responses([user("before"), user("hi")]), {})

    assert difference is not None
    assert difference.reason() == f"input has 2 items, expected 1{REMEDY}"


def test_items_are_counted_where_the_last_is_a_system_message() -> None:
    predicate = RESPONSES.compile_match("hi", False)

    difference = predicate.difference(
        ask_responses([user("hi"), user("be kind", role="system")]), {}
    )

    assert difference is not None
    assert difference.reason() == f"input has 2 items, expected 1{REMEDY}"


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
    ]

    assert all(predicate.covers(predicate) for predicate in predicates)


LIST_REMEDY = '; the request contains it: write "match_type": "contains", "input": "sun"'


@pytest.mark.parametrize(
    ("api", "mock", "prompt", "reason"),
    [
        (
            CHAT,
            user("sun"),
            ask_chat([user("is it sunny?")]),
            f"text differs at character 0: expected 'sun', found 'is it sunny?'{REMEDY}",
        ),
        (
            CHAT,
            user("Sun"),
            ask_chat([user("is it sunny?")]),
            "text differs at character 0: expected 'Sun', found 'is it sunny?'",
        ),
        (
            CHAT,
            user("sun"),
            ask_chat([{"role": "tool", "tool_call_id": "c", "content": "sunny"}]),
            "role is 'tool', expected 'user'",
        ),
        (
            MESSAGES,
            user("sun"),
            ask_messages([user([{"type": "text", "text": "so"}, {"type": "text", "text": "sun"}])]),
            f"content has 2 entries, expected 1{REMEDY}",
        ),
        (
            RESPONSES,
            "sun",
            ask_responses("is it sunny?"),
            f"text differs at character 0: expected 'sun', found 'is it sunny?'{REMEDY}",
        ),
        (
            RESPONSES,
            [user("sun")],
            ask_responses("is it sunny?"),
            f"text differs at character 0: expected 'sun', found 'is it sunny?'{LIST_REMEDY}",
        ),
        (
            RESPONSES,
            [user("a"), user("b")],
            ask_responses([user("x"), user("b")]),
            "input[0].content differs at character 0: expected 'a', found 'x'",
        ),
        (
            RESPONSES,
            [user("a"), user("b")],
            ask_responses([user("x"), user("a"), user("b")]),
            f"input has 3 items, expected 2{REMEDY}",
        ),
        (
            EMBEDDINGS,
            "sun",
            ask_embeddings(["moon", "sunny"]),
            f"input has 2 entries, expected 1{REMEDY}",
        ),
        (EMBEDDINGS, [1, 2], ask_embeddings([1, 3]), "input[1] is 3, expected 2"),
        (
            EMBEDDINGS,
            "sun",
            ask_embeddings([1, 3]),
            "input is [1,3], expected 'sun'",
        ),
    ],
)
def test_an_exact_condition_says_what_differs_and_what_to_do(
    api: API, mock: Any, prompt: Prompt, reason: str
) -> None:
    difference = api.compile_match(mock, False).difference(prompt, {})

    assert difference is not None
    assert difference.reason() == reason


@pytest.mark.parametrize(
    ("mock", "found", "reason"),
    [
        ([user("a"), user("b")], [user("b")], "input has 1 item, expected at least 2"),
        (
            [user("b")],
            [user("a"), user("c")],
            "text differs at character 0: expected 'b', found 'c'",
        ),
        (
            [{"type": "function_call_output", "call_id": "a", "output": "x"}],
            [{"type": "function_call_output", "call_id": "b", "output": "x"}],
            "call_id differs at character 0: expected 'a', found 'b'",
        ),
    ],
)
def test_items_at_the_end_say_what_differs(mock: Any, found: Any, reason: str) -> None:
    difference = RESPONSES.compile_match(mock, True).difference(ask_responses(found), {})

    assert difference is not None
    assert difference.reason() == reason


def large(message: Any, api: API = CHAT, *behind: Any) -> Prompt:
    """The prompt of a large request, read in pieces, whose canonical form must not be made."""
    name = "input" if api is RESPONSES else "messages"
    body = orjson.dumps({"model": "m", "max_tokens": 1, name: [message, *behind]})
    prompt: Prompt = finish(api.decode_in_pieces(Request.of("POST", "/", body=body), {}, []))

    def canonical(item: Any) -> bytes:
        raise AssertionError

    for message in prompt.last_messages:
        message.canonical = canonical
    return prompt


@pytest.mark.parametrize(
    "content", ["x" * 2_000, [{"type": "text", "text": ""}] * 2_000], ids=["text", "parts"]
)
def test_a_message_is_not_compared_with_a_shorter_one(
    content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """250,000 parts held the loop for 550 ms, one text of 10 MB for 17 ms."""
    monkeypatch.setattr(message_predicates, "MAX_EXPLAINED", 1_000)
    prompt = large({"role": "user", "content": content})
    predicate = CHAT.compile_match({"role": "user", "content": "x"}, False)
    index = RuleIndex([Rule(0, "openai[0]", (predicate,))])

    assert index.candidates(prompt, {}) == ()
    difference = predicate.difference(prompt, {})
    assert difference is not None
    assert callable(difference.reason)
    assert difference.reason().startswith("it is longer than 1,000 bytes, expected 29")


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "x" * 100_000},
        {"role": "user", "content": [{"type": "input_text", "text": "x" * 100_000}]},
        {"type": "function_call_output", "call_id": "c", "output": "x" * 100_000},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": ""}] * 2_000,
        },
        {
            "type": "reasoning",
            "id": "r",
            "summary": [{"type": "summary_text", "text": ""}] * 2_000,
        },
    ],
    ids=["text", "part", "result", "parts of a result", "summary"],
)
def test_an_item_is_not_compared_with_a_shorter_one(
    item: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """250,000 parts of a result held the loop for 420 ms, one text of 10 MB for 34 ms."""
    monkeypatch.setattr(message_predicates, "MAX_EXPLAINED", 1_000)
    prompt = large(item, RESPONSES)
    predicate = RESPONSES.compile_match([{"role": "user", "content": "y"}], False)
    index = RuleIndex([Rule(0, "openai_response[0]", (predicate,))])

    assert index.candidates(prompt, {}) == ()
    difference = predicate.difference(prompt, {})
    assert difference is not None
    assert callable(difference.reason)
    assert difference.reason().startswith("it is longer than 1,000 bytes, expected 46")


DEEP = {"a": [{"b": 1}] * 50_000}
ARGUMENTS = orjson.dumps([DEEP] * 3).decode()


@pytest.mark.parametrize(
    ("api", "wanted", "found"),
    [
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "function": {"arguments": ARGUMENTS}}],
            },
        ),
        (
            CHAT,
            {"role": "user", "content": "x"},
            {"role": "user", "content": [{"type": "image_url", "image_url": DEEP}]},
        ),
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{"id": "c"}]},
            {"role": "assistant", "tool_calls": [{"id": "c"}] * 20_000},
        ),
        (
            MESSAGES,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "input": {}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "input": DEEP}]},
        ),
        (
            MESSAGES,
            {"role": "user", "content": "x"},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c",
                        "content": [{"type": "text", "text": ""}] * 20_000,
                    }
                ],
            },
        ),
        (
            RESPONSES,
            [{"type": "shell_call", "call_id": "c", "action": {"commands": ["x"]}}],
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["x"] * 50_000}},
        ),
        (
            RESPONSES,
            [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ARGUMENTS},
        ),
    ],
    ids=["arguments", "part", "calls", "input", "nested", "action", "arguments of an item"],
)
def test_a_deep_message_is_not_compared_with_a_shorter_one(
    api: API, wanted: Any, found: Any
) -> None:
    """10 MB of arguments held the loop for 600 ms."""
    prompt = large(found, api)
    predicate = api.compile_match(wanted, False)
    index = RuleIndex([Rule(0, "mock", (predicate,))])

    assert index.candidates(prompt, {}) == ()
    difference = predicate.difference(prompt, {})
    assert difference is not None
    assert callable(difference.reason)
    assert re.match("it is longer than|it has (thousands of|20,000)", difference.reason())


def test_an_item_before_the_last_is_not_compared_with_a_shorter_one() -> None:
    call = {"type": "shell_call", "call_id": "c", "action": {"commands": ["x"] * 50_000}}
    prompt = large(call, RESPONSES, user("y"))
    predicate = RESPONSES.compile_match([user("x"), user("y")], False)

    assert RuleIndex([Rule(0, "mock", (predicate,))]).candidates(prompt, {}) == ()


@pytest.mark.parametrize("number", [100, 200_000])
def test_a_large_message_equals_that_of_a_mock(number: int) -> None:
    call = {"type": "shell_call", "call_id": "c", "action": {"commands": ["x" * 2_000] * number}}
    if number > 100:
        call["action"] = {"commands": ["x"] * number}
    body = orjson.dumps({"model": "m", "input": [call]})
    prompt = finish(RESPONSES.decode_in_pieces(Request.of("POST", "/", body=body), {}, []))

    assert RESPONSES.compile_match([call], False).difference(prompt, {}) is None


@pytest.mark.parametrize(("size", "remedied"), [(1_000, True), (2_000_000, False)])
def test_a_remedy_is_looked_for_in_a_text_that_is_not_too_large(size: int, remedied: bool) -> None:
    body = orjson.dumps({"model": "m", "input": [user("x" * size + "y")]})
    prompt = finish(RESPONSES.decode_in_pieces(Request.of("POST", "/", body=body), {}, []))
    predicate = RESPONSES.compile_match("y", False)

    difference = predicate.difference(prompt, {})

    assert difference is not None
    assert callable(difference.reason)
    assert ('write "match_type": "contains"' in difference.reason()) is remedied


def test_a_message_of_many_parts_is_not_compared_with_a_shorter_one() -> None:
    """250,000 parts held the loop for 500 ms more, until their first difference was found."""
    prompt = large({"role": "user", "content": [{"type": "text", "text": "hello there"}] * 10_000})
    predicate = CHAT.compile_match({"role": "user", "content": "x"}, False)

    difference = predicate.difference(prompt, {})

    assert difference is not None
    assert callable(difference.reason)
    assert difference.reason().startswith("it has 10,000 parts, and more than 29 bytes")


def test_a_long_message_is_compared_with_one_that_is_as_long() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "é"}] * 2_000}
    predicate = CHAT.compile_match(message, False)
    body = orjson.dumps({"model": "m", "messages": [message]})

    prompt = finish(CHAT.decode_in_pieces(Request.of("POST", "/", body=body), {}, []))

    index = RuleIndex([Rule(0, "openai[0]", (predicate,))])
    assert [rule.index for rule in index.candidates(prompt, {})] == [0]
    assert predicate.difference(prompt, {}) is None
