"""Neutral replies in Responses: what only this API has."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses.reply import respond
from mockllm.providers.reply import NeutralCall, NeutralReply

FUNCTION = {"type": "function", "name": "f"}
OTHER = {"type": "function", "name": "g"}
CUSTOM = {"type": "custom", "name": "f"}
JSON = NeutralReply(json='{"a":1}')
CALL = {"type": "function_call", "arguments": '{"a":1}', "name": "f"}
CUSTOM_CALL = {"type": "custom_tool_call", "input": '{"a":1}', "name": "f"}


@pytest.mark.parametrize(
    ("body", "item"),
    [
        ({"tool_choice": FUNCTION, "tools": [FUNCTION, OTHER]}, CALL),
        ({"tool_choice": "required", "tools": [FUNCTION]}, CALL),
        (
            {
                "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]},
                "tools": [FUNCTION, OTHER],
            },
            CALL,
        ),
        ({"tool_choice": CUSTOM, "tools": [CUSTOM]}, CUSTOM_CALL),
        ({"tool_choice": "required", "tools": [CUSTOM]}, CUSTOM_CALL),
    ],
)
def test_a_forced_tool_is_called(body: dict[str, Any], item: dict[str, Any]) -> None:
    assert respond(JSON, body) == {"output": [item]}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [FUNCTION]},
        {"tool_choice": "auto", "tools": [FUNCTION]},
        {"tool_choice": "required", "tools": [FUNCTION, OTHER]},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}},
    ],
)
def test_a_model_that_may_choose_says_the_json(body: dict[str, Any]) -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": '{"a":1}'}]}

    assert respond(JSON, body) == {"output": [message]}


def test_a_call_has_the_form_of_the_tool_that_is_offered() -> None:
    both = NeutralReply(calls=(NeutralCall("f", "a", "1"), NeutralCall("g", "b", "2")))

    assert respond(both, {"tools": [CUSTOM, OTHER]})["output"] == [
        {"type": "custom_tool_call", "input": "a", "call_id": "1", "name": "f"},
        {"type": "function_call", "arguments": "b", "call_id": "2", "name": "g"},
    ]


def test_an_answer_that_is_cut_short_is_incomplete() -> None:
    assert respond(NeutralReply(finish="length"), {}) == {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [],
    }


def test_reasoning_comes_first_and_calls_last() -> None:
    reply = NeutralReply(text="a", reasoning="r", calls=(NeutralCall("f", call_id="c"),))

    items = respond(reply, {})["output"]

    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert items[-1]["call_id"] == "c"
