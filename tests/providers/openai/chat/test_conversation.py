"""What only Chat Completions has in its conversations."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import ConversationMessage, ToolCall, ToolResult
from mockllm.providers.openai.chat.conversation import read_messages, read_system, read_tools

PARTS = [{"type": "text", "text": "é"}, {"type": "image_url", "image_url": {}}, None]


def read(**message: Any) -> list[ConversationMessage]:
    return [each for each in read_messages({"messages": [message]}) if each is not None]


@pytest.mark.parametrize("messages", [None, {}, "é", 7, [], [None, 7, "user", ["user"]]])
def test_messages_that_are_no_objects_are_skipped(messages: Any) -> None:
    assert list(read_messages({"messages": messages})) == []
    assert list(read_system({"messages": messages})) == []


@pytest.mark.parametrize("role", ["system", "developer", "", "User", None, 7, ["user"]])
def test_instructions_and_unknown_roles_are_no_turns(role: Any) -> None:
    assert read(role=role, content="x") == []


@pytest.mark.parametrize(
    ("content", "texts"), [(None, ()), ([], ()), ({}, ()), ("", ("",)), (PARTS, ("é",))]
)
def test_a_message_has_the_texts_of_its_content(content: Any, texts: tuple[str, ...]) -> None:
    assert read(role="user", content=content) == [ConversationMessage("user", texts)]
    assert read(role="assistant", content=content) == [ConversationMessage("assistant", texts)]
    assert read(role="tool", content=content) == [ToolResult(texts=texts)]
    assert read(role="function", content=content) == [ToolResult(texts=texts)]


def test_a_refusal_follows_the_content_wherever_it_is() -> None:
    content = [{"type": "refusal", "refusal": "a"}, {"type": "text", "text": "b"}]

    assert read(role="assistant", content=content, refusal="c") == [
        ConversationMessage("assistant", ("a", "b", "c"))
    ]


def test_the_older_call_follows_the_calls_and_has_no_id() -> None:
    calls = [
        {"id": "1", "function": {"name": "f"}},
        None,
        {"id": 7, "function": {"name": ["f"]}},
        {"id": "2"},
    ]

    message = read(role="assistant", tool_calls=calls, function_call={"name": "g", "id": "3"})

    expected = (ToolCall("1", "f"), ToolCall("", ""), ToolCall("2", ""), ToolCall("", "g"))
    assert message == [ConversationMessage("assistant", (), expected)]


@pytest.mark.parametrize("role", ["user", "tool", "function"])
def test_only_assistants_call_tools(role: str) -> None:
    call = {"id": "1", "function": {"name": "f"}}

    (message,) = read(role=role, tool_calls=[call], function_call={"name": "g"}, refusal="no")

    assert (message.texts, message.calls) == ((), ())


def test_each_kind_of_result_has_its_own_link_to_the_call() -> None:
    link = {"tool_call_id": "1", "name": "f"}

    assert read(role="tool", content="42", **link) == [ToolResult(texts=("42",), call_id="1")]
    assert read(role="function", content="42", **link) == [ToolResult(texts=("42",), name="f")]


def test_the_instructions_are_those_of_system_and_developer_messages() -> None:
    messages = [
        {"role": "developer", "content": "a"},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": PARTS},
        {"role": "system"},
    ]

    assert list(read_system({"messages": messages, "system": "x"})) == ["a", "é"]


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "custom", "custom": {"name": "é"}}, "é"),
        ({"type": "x", "function": None, "custom": {"name": "f"}}, "f"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "function", "function": {}}, "function"),
        ({"type": "function", "name": "f"}, "function"),
        ({"type": 7, "function": {"name": 7}}, ""),
        ({}, ""),
    ],
)
def test_a_tool_without_a_name_is_known_by_its_type(tool: dict[str, Any], name: str) -> None:
    assert list(read_tools({"tools": [tool, None], "functions": [7, {"name": "g"}]})) == [name, "g"]
