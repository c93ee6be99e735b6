"""Neutral replies in Messages: what only this API has."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from mockllm.providers.anthropic.messages.reply import MAX_READ, NOT_JSON, input_of, respond
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage

TOOL = {"name": "f", "input_schema": {"type": "object"}}
OTHER = {"name": "g", "input_schema": {"type": "object"}}
JSON = NeutralReply(json='{"a":1}')


@pytest.mark.parametrize(
    "body",
    [
        {"tool_choice": {"type": "tool", "name": "f"}, "tools": [TOOL, OTHER]},
        {"tool_choice": {"type": "any"}, "tools": [TOOL]},
    ],
)
def test_a_forced_tool_is_called(body: dict[str, Any]) -> None:
    call = {"type": "tool_use", "name": "f", "input": {"a": 1}}

    assert respond(JSON, body) == {"content": [call]}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [TOOL]},
        {"tool_choice": {"type": "auto"}, "tools": [TOOL]},
        {"tool_choice": {"type": "none"}, "tools": [TOOL]},
        {"tool_choice": {"type": "any"}, "tools": [TOOL, OTHER]},
    ],
)
def test_a_model_that_may_choose_says_the_json(body: dict[str, Any]) -> None:
    assert respond(JSON, body) == {"content": [{"type": "text", "text": '{"a":1}'}]}


@pytest.mark.parametrize(
    ("arguments", "members"),
    [
        ('{"b":1,"a":[]}', {"b": 1, "a": []}),
        ("", {}),
        ("{", {NOT_JSON: "{"}),
        ("[1]", {NOT_JSON: "[1]"}),
        ("null", {NOT_JSON: "null"}),
        ("\ud800", {NOT_JSON: "\ud800"}),
    ],
)
def test_an_input_is_always_an_object(arguments: str, members: dict[str, Any]) -> None:
    assert input_of(arguments) == members


@pytest.mark.parametrize("end", ["", "}", "]"])
def test_a_long_input_is_read_once_for_all_requests(end: str) -> None:
    arguments = '{"a":"' + "b" * MAX_READ + '"' + end

    first, second = (input_of(arguments) for _ in range(2))

    expected = {"a": "b" * MAX_READ} if end == "}" else {NOT_JSON: arguments}
    assert first == expected
    assert first is second


def test_a_refusal_has_no_content() -> None:
    assert respond(NeutralReply(refusal="no"), {}) == {
        "content": [],
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": None, "explanation": "no"},
    }


def test_an_empty_text_is_no_block() -> None:
    assert respond(NeutralReply(text=""), {}) == {"content": []}


def test_a_signature_differs_from_text_to_text_and_is_base64() -> None:
    signatures = [
        respond(NeutralReply(reasoning=text), {})["content"][0]["signature"] for text in "aab"
    ]

    assert signatures[0] == signatures[1] != signatures[2]
    assert all(b64decode(each, validate=True) for each in signatures)


@pytest.mark.parametrize("finish", ["stop", "tool_calls", None])
def test_a_message_with_calls_ends_with_them_whatever_is_written(finish: Any) -> None:
    assert "stop_reason" not in respond(NeutralReply(calls=(NeutralCall("f"),), finish=finish), {})


def test_input_tokens_are_those_that_were_not_cached() -> None:
    reply = NeutralReply(text="a", usage=NeutralUsage(input=10, cached=4))

    assert respond(reply, {})["usage"] == {"input_tokens": 6, "cache_read_input_tokens": 4}
