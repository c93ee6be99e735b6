"""One conversation in three APIs reads the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from mockllm.prompt import ConversationMessage, Prompt, ToolCall, ToolResult
from tests.support.conversations import (
    Conversation,
    as_chat,
    as_messages,
    as_messages_in_blocks,
    as_responses,
    conversations,
)
from tests.support.strategies import ask_chat, ask_embeddings, ask_messages, ask_responses

AS_EACH_API = pytest.mark.parametrize(
    "ask", [as_chat, as_messages, as_messages_in_blocks, as_responses]
)


@AS_EACH_API
@given(conversation=conversations())
def test_a_conversation_reads_the_same_in_every_api(
    ask: Callable[[Conversation], Prompt], conversation: Conversation
) -> None:
    prompt = ask(conversation)

    assert list(prompt.messages()) == conversation.messages
    assert list(prompt.system()) == conversation.instructions
    assert list(prompt.tools()) == conversation.tools


# --- What one API alone has ----------------------------------------------------------------------


def test_text_beside_tool_results_in_messages_is_a_message_of_its_own() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True}
    content = [result, {"type": "text", "text": "go on"}]

    prompt = ask_messages([{"role": "user", "content": content}])

    assert prompt.messages() == (
        ToolResult(texts=("no",), call_id="t", error=True),
        ConversationMessage("user", ("go on",)),
    )


def test_the_older_functions_of_chat_are_tools() -> None:
    prompt = ask_chat(
        [
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"},
        ],
        functions=[{"name": "f"}],
    )

    assert prompt.tools() == ("f",)
    assert prompt.messages()[-1:] == (ToolResult(texts=("42",), name="f"),)


def test_a_refusal_of_chat_is_a_text_of_the_answer() -> None:
    prompt = ask_chat([{"role": "assistant", "content": None, "refusal": "no"}])

    assert prompt.messages() == (ConversationMessage("assistant", ("no",)),)


def test_custom_tools_of_chat_have_names() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    prompt = ask_chat(
        [{"role": "assistant", "tool_calls": [call]}],
        tools=[{"type": "custom", "custom": {"name": "sql"}}],
    )

    assert prompt.tools() == ("sql",)
    assert prompt.messages() == (ConversationMessage("assistant", (), (ToolCall("c", "sql"),)),)


def test_tools_of_the_service_are_known_by_their_type() -> None:
    prompt = ask_responses(
        [
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "computer_call", "id": "cu_1", "call_id": "call_1", "action": {}},
            {"type": "computer_call_output", "call_id": "call_1", "output": {}},
        ],
        tools=[{"type": "web_search"}],
    )

    assert prompt.tools() == ("web_search",)
    assert prompt.messages()[-1:] == (ToolResult(call_id="call_1", name="computer"),)


def test_a_text_as_the_input_of_responses_is_a_message_of_the_user() -> None:
    assert ask_responses("hi").messages() == (ConversationMessage("user", ("hi",)),)


def test_the_input_of_embeddings_is_what_a_user_says() -> None:
    prompt = ask_embeddings(["hi", "there"])

    assert prompt.messages() == (ConversationMessage("user", ("hi", "there")),)
    assert (prompt.system(), prompt.tools()) == ((), ())


SCHEMA = {"type": "object", "title": "Weather"}


@pytest.mark.parametrize(
    ("prompt", "schemas"),
    [
        (ask_chat([{"role": "user", "content": "hi"}]), ()),
        (
            ask_chat(
                [{"role": "user", "content": "hi"}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "weather", "schema": SCHEMA},
                },
            ),
            ("weather",),
        ),
        (
            ask_chat(
                [{"role": "user", "content": "hi"}],
                tools=[{"type": "function", "function": {"name": "f"}}],
                tool_choice={"type": "function", "function": {"name": "f"}},
            ),
            ("f",),
        ),
        (
            ask_chat(
                [{"role": "user", "content": "hi"}],
                tools=[{"type": "function", "function": {"name": "f"}}],
                tool_choice="required",
            ),
            ("f",),
        ),
        (
            ask_chat(
                [{"role": "user", "content": "hi"}],
                tools=[
                    {"type": "function", "function": {"name": "f"}},
                    {"type": "function", "function": {"name": "g"}},
                ],
                tool_choice="required",
            ),
            (),
        ),
        (
            ask_chat(
                [{"role": "user", "content": "hi"}],
                tool_choice={
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "g"}}],
                    },
                },
            ),
            ("g",),
        ),
        (ask_chat([{"role": "user", "content": "hi"}], function_call={"name": "old"}), ("old",)),
        (
            ask_responses(
                "hi", text={"format": {"type": "json_schema", "name": "w", "schema": SCHEMA}}
            ),
            ("w",),
        ),
        (ask_responses("hi", tool_choice={"type": "function", "name": "f"}), ("f",)),
        (
            ask_responses(
                "hi",
                tool_choice={
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "g"}],
                },
            ),
            ("g",),
        ),
        (
            ask_messages(
                [{"role": "user", "content": "hi"}],
                output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            ),
            ("Weather",),
        ),
        (
            ask_messages(
                [{"role": "user", "content": "hi"}], tool_choice={"type": "tool", "name": "f"}
            ),
            ("f",),
        ),
        (
            ask_messages(
                [{"role": "user", "content": "hi"}],
                tools=[{"name": "f", "input_schema": {}}],
                tool_choice={"type": "any"},
            ),
            ("f",),
        ),
    ],
)
def test_the_schema_is_that_of_the_output_or_the_one_tool_that_is_forced(
    prompt: Prompt, schemas: tuple[str, ...]
) -> None:
    assert prompt.schemas() == schemas


@pytest.mark.parametrize("strange", [None, 7, "x", [7], [{}], [{"function": 7}], {"a": 1}])
def test_members_that_an_sdk_would_refuse_do_not_raise(strange: Any) -> None:
    answer = {"role": "assistant", "content": None, "tool_calls": strange, "function_call": strange}
    result = {"type": "tool_result", "tool_use_id": strange, "content": strange}
    output = {"type": "function_call_output", "call_id": strange, "output": strange}

    for prompt in (
        ask_chat([answer], tools=strange, functions=strange),
        ask_messages([{"role": "user", "content": [result]}], system=strange, tools=strange),
        ask_responses([output], instructions=strange, tools=strange),
    ):
        assert len(prompt.messages()) == 1
        prompt.system()
        prompt.tools()


@pytest.mark.parametrize("strange", [None, 7, "x", [7], [{}], [{"function": 7}], {"a": 1}])
def test_strange_choices_of_tools_and_schemas_do_not_raise(strange: Any) -> None:
    messages = [{"role": "user", "content": "hi"}]
    nested = {"type": "allowed_tools", "allowed_tools": strange, "tools": strange, "mode": strange}
    for choice in (strange, nested):
        for prompt in (
            ask_chat(
                messages,
                tool_choice=choice,
                tools=strange,
                response_format={"json_schema": strange},
            ),
            ask_messages(messages, tool_choice=choice, tools=strange, output_config=strange),
            ask_responses("hi", tool_choice=choice, tools=strange, text={"format": strange}),
        ):
            assert isinstance(prompt.schemas(), tuple)
