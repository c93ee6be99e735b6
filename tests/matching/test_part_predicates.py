"""Conditions on parts: what they cover, and the reasons why they do not hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.predicate import Predicate
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.rules import user
from tests.support.strategies import (
    ask_chat,
    ask_messages,
    ask_responses,
    blocks_messages,
    items,
    messages_requests,
    responses_requests,
)

TEXT = {"type": "text", "text": "hi"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x"}}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def output(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, **more}


def tool(call_id: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, **more}


def blocks(*content: Any) -> Prompt:
    return ask_messages([user(list(content))])


@pytest.mark.parametrize(
    ("api", "mock", "prompt", "reason"),
    [
        (MESSAGES, user([result("t")]), blocks(TEXT), "no result of call 't', found no result"),
        (
            MESSAGES,
            user([result("t")]),
            blocks(result("u"), result("v")),
            "no result of call 't', found that of 'u', 'v'",
        ),
        (
            MESSAGES,
            user([result("t", content="15")]),
            blocks(result("t", content="16"), result("u", content="15")),
            "no result of call 't' that contains '15', only one without",
        ),
        (MESSAGES, user([TEXT, IMAGE]), blocks(IMAGE), "no text contains 'hi'"),
        (
            MESSAGES,
            user([TEXT, {"type": "image"}]),
            blocks(TEXT),
            'no part like \'{"type":"image"}\'',
        ),
        (
            MESSAGES,
            user([result("t")]),
            ask_messages([{"role": "assistant", "content": "hi"}]),
            "role is 'assistant', expected 'user'",
        ),
        (
            CHAT,
            tool("a"),
            ask_chat([tool("b", content="x")]),
            "no result of call 'a', found that of 'b'",
        ),
        (
            RESPONSES,
            [output("a")],
            ask_responses([output("b", output="x")]),
            "no result of call 'a', found that of 'b'",
        ),
        (
            RESPONSES,
            [user("hi"), output("a")],
            ask_responses([output("a", output="x")]),
            "input has 1 item, expected at least 2",
        ),
        (
            RESPONSES,
            [user("hi"), output("a")],
            ask_responses([user("ho"), output("a", output="x")]),
            'no item like \'{"content":"hi","role":"user","type":"message"}\'',
        ),
    ],
)
def test_a_difference_says_why(api: API, mock: Any, prompt: Prompt, reason: str) -> None:
    difference = api.compile_match(mock, True).difference(prompt, {})

    assert difference is not None
    assert difference.reason() == reason


def check_covers(predicates: list[Predicate], prompt: Prompt) -> None:
    accepting = [each for each in predicates if each.difference(prompt, {}) is None]
    for earlier in predicates:
        if any(earlier.covers(later) for later in accepting):
            assert earlier in accepting


@given(st.lists(blocks_messages(), max_size=6), messages_requests())
def test_a_condition_on_blocks_accepts_what_one_that_it_covers_accepts(
    mocks: list[Any], prompt: Prompt
) -> None:
    check_covers([MESSAGES.compile_match(mock, True) for mock in mocks], prompt)


@given(st.lists(st.lists(items(), max_size=2), max_size=6), responses_requests())
def test_a_condition_on_items_accepts_what_one_that_it_covers_accepts(
    mocks: list[Any], prompt: Prompt
) -> None:
    check_covers([RESPONSES.compile_match(mock, True) for mock in mocks], prompt)


def test_a_mock_covers_those_that_ask_for_more() -> None:
    call, with_text, both, text = (
        MESSAGES.compile_match(user(content), True)
        for content in (
            [result("t")],
            [result("t", content="15")],
            [result("t", content="15 degrees"), TEXT],
            [TEXT],
        )
    )

    assert call.covers(with_text)
    assert call.covers(both)
    assert with_text.covers(both)
    assert text.covers(both)
    assert not with_text.covers(call)
    assert not call.covers(text)
    assert not both.covers(with_text)
