"""What only the Messages API has in its conversations."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import ConversationMessage, ToolCall, ToolResult
from mockllm.providers.anthropic.messages.conversation import read_messages, read_system

IMAGE = {"type": "image", "source": {}}


def user(*blocks: Any) -> list[ConversationMessage]:
    """The messages that a user's message of these blocks is read as."""
    return [
        each
        for each in read_messages({"messages": [{"role": "user", "content": list(blocks)}]})
        if each is not None
    ]


def result(**members: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", **members}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize("messages", [None, {}, "é", 7, [], [None, 7, "user", ["user"]]])
def test_messages_that_are_no_objects_are_skipped(messages: Any) -> None:
    assert list(read_messages({"messages": messages})) == []
    assert list(read_system({"messages": messages})) == []


@pytest.mark.parametrize("role", ["system", "developer", "tool", "", "User", None, 7, ["user"]])
def test_only_users_and_assistants_converse(role: Any) -> None:
    messages = [{"role": role, "content": "x"}, {"role": "user", "content": "é"}]

    assert list(read_messages({"messages": messages})) == [ConversationMessage("user", ("é",))]


@pytest.mark.parametrize("content", [None, [], [IMAGE], [7], {}])
def test_a_user_without_text_has_a_message_all_the_same(content: Any) -> None:
    messages = [{"role": "user", "content": content}]

    assert list(read_messages({"messages": messages})) == [ConversationMessage("user")]


def test_an_image_beside_a_result_is_no_message_of_its_own() -> None:
    assert user(result(), IMAGE) == [ToolResult(call_id="t")]


def test_results_come_before_the_text_that_they_follow() -> None:
    assert user(text("a"), result(content="1"), text("b"), result(content="2")) == [
        ToolResult(texts=("1",), call_id="t"),
        ToolResult(texts=("2",), call_id="t"),
        ConversationMessage("user", ("a", "b")),
    ]


@pytest.mark.parametrize("error", [None, False, 1, "true", [True]])
def test_a_tool_failed_only_if_is_error_is_true(error: Any) -> None:
    assert user(result(is_error=error)) == [ToolResult(call_id="t", error=False)]
    assert user(result(is_error=True)) == [ToolResult(call_id="t", error=True)]


def test_the_texts_of_a_result_are_those_of_its_parts() -> None:
    content = [text("é"), IMAGE, text(""), None]

    assert user(result(content=content)) == [ToolResult(texts=("é", ""), call_id="t")]


def test_the_calls_of_an_answer_are_its_uses_of_tools() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "text": "hm"},
        {"type": "tool_use", "id": "1", "name": "f"},
        text("a"),
        {"type": "server_tool_use", "id": "2", "name": "web_search"},
        {"type": "tool_use", "id": None, "name": 7},
        {"type": "tool_result", "tool_use_id": "1"},
    ]

    assert list(read_messages({"messages": [{"role": "assistant", "content": blocks}]})) == [
        ConversationMessage("assistant", ("a",), (ToolCall("1", "f"), ToolCall("", "")))
    ]


def test_a_user_calls_no_tools() -> None:
    assert user({"type": "tool_use", "id": "1", "name": "f"}) == [ConversationMessage("user")]


def test_system_messages_follow_the_system_prompt() -> None:
    body = {
        "system": [text("a"), IMAGE, text("b")],
        "messages": [
            {"role": "system", "content": "c"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": [text("d"), text("é")]},
            {"role": "system", "content": None},
        ],
    }

    assert list(read_system(body)) == ["a", "b", "c", "d", "é"]
