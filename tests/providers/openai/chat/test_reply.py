"""Neutral replies in Chat Completions: what only this API has."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.chat.reply import respond
from mockllm.providers.reply import NeutralCall, NeutralReply

FUNCTION = {"type": "function", "function": {"name": "f"}}
OTHER = {"type": "function", "function": {"name": "g"}}
CUSTOM = {"type": "custom", "custom": {"name": "f"}}
JSON = NeutralReply(json='{"a":1}')


def answer(body: dict[str, Any], reply: NeutralReply = JSON) -> tuple[dict[str, Any], Any]:
    """The message and the finish reason, None if that is filled in."""
    (choice,) = respond(reply, body)["choices"]
    return choice["message"], choice.get("finish_reason")


def called(kind: str, name: str = "f") -> dict[str, Any]:
    member = "arguments" if kind == "function" else "input"
    call = {"type": kind, kind: {"name": name, member: '{"a":1}'}}
    return {"content": None, "tool_calls": [call]}


@pytest.mark.parametrize("body", [{"tool_choice": FUNCTION, "tools": [FUNCTION, OTHER]}])
def test_a_named_function_is_called_and_the_model_stops(body: dict[str, Any]) -> None:
    assert answer(body) == (called("function"), "stop")


@pytest.mark.parametrize(
    "body",
    [
        {"tool_choice": "required", "tools": [FUNCTION]},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [FUNCTION]},
            },
            "tools": [FUNCTION, OTHER],
        },
    ],
)
def test_the_only_function_that_may_be_called_is_called(body: dict[str, Any]) -> None:
    assert answer(body) == (called("function"), None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tools": [FUNCTION]},
        {"tool_choice": "auto", "tools": [FUNCTION]},
        {"tool_choice": "none", "tools": [FUNCTION]},
        {"tool_choice": "required", "tools": [FUNCTION, OTHER]},
        {"tool_choice": "required"},
        {"function_call": "auto", "functions": [{"name": "f"}]},
    ],
)
def test_a_model_that_may_choose_says_the_json(body: dict[str, Any]) -> None:
    assert answer(body) == ({"content": '{"a":1}'}, None)


def test_a_custom_tool_has_an_input() -> None:
    assert answer({"tool_choice": CUSTOM, "tools": [CUSTOM]}) == (called("custom"), "stop")
    assert answer({"tool_choice": "required", "tools": [CUSTOM]}) == (called("custom"), None)


def test_a_function_in_the_legacy_form_is_called_in_that_form() -> None:
    body = {"function_call": {"name": "f"}, "functions": [{"name": "f"}]}

    message = {"content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}}
    assert answer(body) == (message, "stop")


def test_a_call_has_the_form_of_the_tool_that_is_offered() -> None:
    both = NeutralReply(calls=(NeutralCall("f", "a", "1"), NeutralCall("g", "b", "2")))

    message, finish = answer({"tools": [CUSTOM, OTHER]}, both)

    assert message["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "f", "input": "a"}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "b"}},
    ]
    assert finish is None


@pytest.mark.parametrize("finish", [None, "tool_calls"])
def test_a_call_is_in_the_legacy_form_for_legacy_functions(finish: Any) -> None:
    one = NeutralReply(calls=(NeutralCall("f"),), finish=finish)
    legacy = {"functions": [{"name": "f"}]}

    function = {"name": "f", "arguments": "{}"}
    assert answer(legacy, one) == ({"content": None, "function_call": function}, None)
    assert "tool_calls" in answer(legacy | {"tools": [FUNCTION]}, one)[0]


def test_several_calls_have_no_legacy_form() -> None:
    two = NeutralReply(calls=(NeutralCall("f"), NeutralCall("g")))

    assert len(answer({"functions": [{"name": "f"}]}, two)[0]["tool_calls"]) == 2


def test_a_model_that_calls_the_named_function_stops() -> None:
    one = NeutralReply(calls=(NeutralCall("f"),))

    assert answer({"tool_choice": FUNCTION, "tools": [FUNCTION]}, one)[1] == "stop"
    assert answer({"tool_choice": "required", "tools": [FUNCTION]}, one)[1] is None
    assert answer({"function_call": {"name": "f"}, "functions": [{"name": "f"}]}, one)[1] == "stop"


def test_a_written_finish_counts() -> None:
    reply = NeutralReply(json='{"a":1}', finish="length")

    assert answer({"tool_choice": FUNCTION}, reply) == (called("function"), "length")


def test_the_content_is_null_only_beside_something_else() -> None:
    assert answer({}, NeutralReply(finish="length"))[0] == {"content": ""}
    assert answer({}, NeutralReply(refusal="no"))[0] == {"content": None, "refusal": "no"}
    assert answer({}, NeutralReply(calls=(NeutralCall("f"),)))[0]["content"] is None
