"""Requests, answers and parts of Chat Completions, validated by the SDK's types."""

from __future__ import annotations

from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.validation.findings import Finding
from tests.support.confirming import (
    CHAT,
    COMPLETION,
    LENIENT,
    MISSING,
    UNKNOWN,
    WRONG,
    assert_only_strict_refuses,
    body,
    turns,
)


def test_enum_member_of_another_json_type_is_refused() -> None:
    assert LENIENT[CHAT](body(CHAT, reasoning_effort=5)) == Finding(
        ("reasoning_effort",), "expected a string, found 5", WRONG
    )


def test_only_strict_refuses_unknown_members_of_a_message() -> None:
    message = {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"}
    assert_only_strict_refuses(
        CHAT,
        turns(CHAT, message),
        Finding(("messages", 0, "name"), "not a member that the SDK declares", UNKNOWN),
    )


def test_the_original_readmes_answer_has_findings() -> None:
    choice = {
        "index": 0,
        "role": "assistant",
        "message": {"content": "hi"},
        "finish_reason": "stop",
    }
    answer = {**COMPLETION, "object": "chat.completion.tool_message", "choices": [choice]}
    assert chat_sdk.confirm_response(answer) == [
        Finding(("choices", 0, "message", "role"), "required, but missing", MISSING),
        Finding(("choices", 0, "role"), "not a member that the SDK declares", UNKNOWN),
        Finding(
            ("object",),
            "expected 'chat.completion', found 'chat.completion.tool_message'",
            WRONG,
        ),
    ]


def test_known_members_are_those_of_chat_parts() -> None:
    known = chat_sdk.known_members()
    assert set(known) == {"text", "image_url", "input_audio", "file", "refusal"}
    assert known["text"] >= {"type", "text"}
