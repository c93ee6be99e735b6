"""What only the Responses API has in its conversations."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import ConversationMessage, ToolCall, ToolResult
from mockllm.providers.openai.responses.conversation import (
    is_message,
    items_of,
    read_messages,
    read_system,
)

PARTS = [{"type": "input_text", "text": "é"}, {"type": "input_image"}, None]


def read(*items: Any) -> list[ConversationMessage]:
    return [each for each in read_messages({"input": list(items)}) if each is not None]


@pytest.mark.parametrize("text", ["", "é", pytest.param("日" * 1_000_000, id="long")])
def test_a_text_is_one_message_of_the_user(text: str) -> None:
    assert items_of(text) == [{"type": "message", "role": "user", "content": text}]
    assert list(read_messages({"input": text})) == [ConversationMessage("user", (text,))]
    assert list(read_system({"input": text})) == []


def test_items_that_are_no_objects_are_skipped() -> None:
    items = [None, 7, "user", ["user"]]

    assert items_of(items) is items
    assert read(*items) == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"type": "message", "role": "user"}, True),
        ({"type": "message"}, True),
        ({"role": "user"}, True),
        ({"role": None, "type": None}, True),
        ({"type": "reasoning", "role": "user"}, False),
        ({"type": "", "role": "user"}, False),
        ({"type": 7, "role": "user"}, False),
        ({"content": "x"}, False),
        ({}, False),
    ],
)
def test_an_item_without_a_type_is_a_message_if_it_has_a_role(
    item: dict[str, Any], message: bool
) -> None:
    assert is_message(item) is message


@pytest.mark.parametrize(
    ("content", "texts"), [(None, ()), ([], ()), ({}, ()), ("", ("",)), (PARTS, ("é",))]
)
def test_a_message_has_the_texts_of_its_content(content: Any, texts: tuple[str, ...]) -> None:
    assert read({"role": "user", "content": content}) == [ConversationMessage("user", texts)]


@pytest.mark.parametrize(
    "kind", ["mcp_approval_response", "additional_tools", "compaction_trigger"]
)
def test_other_items_of_clients_are_no_turns(kind: str) -> None:
    assert read({"type": kind, "call_id": "1", "role": "user"}) == []


@pytest.mark.parametrize(
    "kind", ["reasoning", "web_search_call", "item_reference", "new", "", None]
)
def test_items_of_the_model_are_parts_of_its_answer(kind: Any) -> None:
    assert read({"type": kind, "id": "1"}) == [ConversationMessage("assistant")]


@pytest.mark.parametrize(
    ("item", "call"),
    [
        ({"type": "function_call", "call_id": "1", "name": "f"}, ToolCall("1", "f")),
        ({"type": "custom_tool_call", "call_id": "é", "name": "日"}, ToolCall("é", "日")),
        ({"type": "local_shell_call", "call_id": "1"}, ToolCall("1", "local_shell")),
        ({"type": "shell_call", "call_id": "1", "name": ""}, ToolCall("1", "shell")),
        ({"type": "new", "call_id": "1", "name": 7}, ToolCall("1", "new")),
    ],
)
def test_a_call_without_a_name_is_known_by_its_type(item: dict[str, Any], call: ToolCall) -> None:
    assert read(item) == [ConversationMessage("assistant", (), (call,))]


@pytest.mark.parametrize("call_id", [None, "", 7, ["1"]])
def test_a_call_without_an_id_is_not_for_the_client(call_id: Any) -> None:
    item = {"type": "function_call", "call_id": call_id, "name": "f", "id": "1"}

    assert read(item) == [ConversationMessage("assistant")]


@pytest.mark.parametrize(
    ("members", "call_id"),
    [
        ({"call_id": "1", "id": "2"}, "1"),
        ({"id": "2"}, "2"),
        ({"call_id": "", "id": "2"}, "2"),
        ({"call_id": None, "id": 7}, ""),
        ({}, ""),
    ],
)
def test_a_result_without_a_call_id_is_linked_by_its_id(
    members: dict[str, Any], call_id: str
) -> None:
    item = {"type": "function_call_output", "output": PARTS, **members}

    assert read(item) == [ToolResult(texts=("é",), call_id=call_id)]


@pytest.mark.parametrize(
    ("status", "error"),
    [("failed", True), ("completed", False), ("incomplete", False), (None, False), (7, False)],
)
def test_a_tool_failed_if_its_status_says_so(status: Any, error: bool) -> None:
    item = {"type": "apply_patch_call_output", "call_id": "1", "status": status}

    assert read(item) == [ToolResult(call_id="1", error=error)]


def test_system_messages_follow_the_instructions() -> None:
    items = [
        {"role": "developer", "content": "b"},
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "system", "content": PARTS},
        {"type": "reasoning", "role": "system", "content": "x"},
        7,
    ]

    assert list(read_system({"instructions": "a", "input": items})) == ["a", "b", "é"]
    assert list(read_system({"instructions": PARTS, "input": []})) == ["é"]
    assert read(*items) == [
        ConversationMessage("user", ("hi",)),
        ConversationMessage("assistant"),
    ]
