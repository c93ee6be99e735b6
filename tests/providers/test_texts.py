"""The texts that `contains` searches: every member of the SDKs' types that holds text is read."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import MessageParam
from anthropic.types.beta import BetaContentBlockParam
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.chat_completion_message_param import ChatCompletionMessageParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from mockllm.providers import texts
from mockllm.providers.anthropic.messages import texts as messages_texts
from mockllm.providers.openai.chat import texts as chat_texts
from mockllm.providers.openai.responses import texts as responses_texts
from mockllm.providers.texts import (
    MAX_LEVELS,
    TextMembers,
    read_texts,
    read_texts_in_pieces,
    text_names,
)
from mockllm.wire import json_encoding
from tests.support.declared_texts import declared_strings
from tests.support.strategies import ask_chat, ask_messages, ask_responses

TABLES = [messages_texts.MEMBERS, chat_texts.MEMBERS, responses_texts.MEMBERS]
NAMES = sorted({"type", *(name for table in TABLES for names in table.values() for name in names)})
KINDS = st.sampled_from(sorted({kind for table in TABLES for kind in table}))
NESTED = st.recursive(
    st.text(max_size=3) | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), inner | KINDS, max_size=4)
    ),
)


@given(NESTED, st.sampled_from(TABLES), st.integers(1, 3), st.sampled_from([0, 1_000]))
def test_texts_that_are_read_in_pieces_are_the_same(
    value: Any, table: TextMembers, most: int, weight: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "ENTRIES_AT_ONCE", most)
        patch.setattr(json_encoding, "_MAX_WEIGHT", weight)
        found = [*read_texts_in_pieces(value, table)]

    assert [text for text in found if text is not None] == [*read_texts(value, table)]


IDENTIFIERS = {
    "id",
    "call_id",
    "caller_id",
    "container_id",
    "download_id",
    "fingerprint",
    "file_id",
    "file_ids",
    "skill_id",
    "tab_id",
    "tool_call_id",
    "tool_id",
    "tool_use_id",
    "toolset_name",
    "tunnel_id",
    "approval_request_id",
    "url",
    "file_url",
    "image_url",
    "server_url",
    "server_label",
    "server_name",
    "mcp_server_name",
    "namespace",
    "version",
    "container",
    "vector_store_ids",
    "user",
    "env",
    "working_directory",
}
ENCODED = {
    "encrypted_content",
    "encrypted_index",
    "encrypted_stdout",
    "file_data",
    "signature",
    "authorization",
    "headers",
}
SETTINGS = {
    "allowed_domains",
    "allowed_tools",
    "annotations",
    "attributes",
    "blocked_domains",
    "categories",
    "city",
    "configs",
    "country",
    "definition",
    "domain",
    "filters",
    "input_examples",
    "input_schema",
    "key",
    "keys",
    "model",
    "output_schema",
    "page_age",
    "param",
    "parameters",
    "properties",
    "region",
    "required",
    "retrieved_at",
    "schema",
    "server_description",
    "size",
    "stop_reason",
    "timezone",
    "token",
    "tool_names",
    "trigger",
    "value",
}
CITATIONS = {"cited_text", "document_title"}
ELSEWHERE = {
    "code": {""},  # of an error or a safety check
    "content": {""},  # of a message, which is read by its role
    "data": {"base64", "redacted_thinking"},
    "description": {"", "custom", "function", "inline", "json_schema", "namespace", "tool_search"},
    "filename": {"container_file_citation", "file_citation"},
    "name": {
        "", "custom", "function", "inline", "json_schema", "mcp_tool_reference", "namespace",
        "tool_reference",
    },  # of tools that are offered
    "path": {"", "download_completed"},
    "refusal": {""},  # of an assistant, which is read by its role
    "result": {"image_generation_call"},  # an encoded image
    "source": {"search_result", "search_result_location"},  # a URL
    "title": {"search_result_location", "url_citation", "web_search_result_location"},
    "type": {""},
}  # fmt: skip
"""Members that hold text, but not in the objects with these types."""


@pytest.mark.parametrize(
    ("members", "types"),
    [
        (chat_texts.MEMBERS, [ChatCompletionMessageParam]),
        (messages_texts.MEMBERS, [MessageParam, BetaContentBlockParam]),
        (responses_texts.MEMBERS, [ResponseInputItemParam]),
    ],
    ids=["chat", "messages", "responses"],
)
def test_every_string_of_the_installed_types_is_read_or_known_to_be_no_text(
    members: TextMembers, types: list[Any]
) -> None:
    unread = {
        (tag, name) for tag, name in declared_strings(*types) if name not in members.get(tag, ())
    }
    known = IDENTIFIERS | ENCODED | SETTINGS | CITATIONS

    assert {
        (tag, name)
        for tag, name in unread
        if name not in known and tag not in ELSEWHERE.get(name, ())
    } == set()


def source(**members: Any) -> dict[str, Any]:
    return {"type": "document", "source": members}


def result(*blocks: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


TEXT = {"type": "text", "text": "a needle here"}
FOUND = {"type": "search_result", "source": "s", "title": "t", "content": [TEXT]}


@pytest.mark.parametrize(
    "block",
    [
        TEXT,
        source(type="text", media_type="text/plain", data="a needle here"),
        source(type="content", content="a needle here"),
        source(type="content", content=[TEXT]),
        {"type": "document", "title": "needle", "source": {"type": "base64", "data": "x"}},
        FOUND,
        result(TEXT),
        result(FOUND),
        result(source(type="text", media_type="text/plain", data="a needle here")),
        {"type": "mcp_tool_result", "tool_use_id": "t", "content": [TEXT]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"city": "needle"}},
        {"type": "new_in_a_later_version", "text": "needle"},
    ],
)
def test_every_text_of_a_messages_request_is_searched(block: dict[str, Any]) -> None:
    (last,) = ask_messages([{"role": "user", "content": [block]}]).last_messages

    assert any("needle" in text for text in last.search_texts)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "file", "file": {"filename": "needle.pdf"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [TEXT]},
        {"role": "assistant", "refusal": "needle"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "needle"}]},
        {"role": "assistant", "audio": {"id": "a", "transcript": "needle"}},
        {"role": "assistant", "reasoning_content": "needle"},
        {"role": "assistant", "reasoning_details": [{"type": "reasoning.text", "text": "needle"}]},
        {
            "role": "assistant",
            "reasoning_details": [{"type": "reasoning.summary", "summary": "needle"}],
        },
        {"role": "assistant", "thinking_blocks": [{"type": "thinking", "thinking": "needle"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": [TEXT]}]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a":"needle"}'}},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "needle"}}]},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "custom", "custom": {"name": "f", "input": "needle"}}
            ],
        },
    ],
)
def test_every_text_of_a_chat_request_is_searched(message: dict[str, Any]) -> None:
    (last,) = ask_chat([message]).last_messages

    assert any("needle" in text for text in last.search_texts)


LINES = 'a "needle"\nhere'  # its JSON differs from it


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": [{"type": "input_text", "text": LINES}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": LINES}],
        },
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": LINES}]},
        {"type": "reasoning", "id": "r", "content": [{"type": "reasoning_text", "text": LINES}]},
        {"type": "function_call_output", "call_id": "c", "output": LINES},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": LINES}],
        },
        {"type": "custom_tool_call_output", "call_id": "c", "output": LINES},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": LINES},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": LINES, "stderr": ""}]},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "", "stderr": LINES}]},
        {"type": "shell_call", "call_id": "c", "action": {"commands": [LINES]}},
        {"type": "local_shell_call_output", "id": "c", "output": LINES},
        {
            "type": "local_shell_call",
            "call_id": "c",
            "action": {"type": "exec", "command": [LINES]},
        },
        {"type": "apply_patch_call_output", "call_id": "c", "output": LINES},
        {"type": "mcp_call", "id": "c", "name": "f", "output": LINES},
        {
            "type": "mcp_call",
            "id": "c",
            "name": "f",
            "error": {"type": "http_error", "message": LINES},
        },
        {"type": "file_search_call", "id": "c", "results": [{"text": LINES}]},
        {"type": "code_interpreter_call", "id": "c", "code": LINES},
        {"type": "code_interpreter_call", "id": "c", "outputs": [{"type": "logs", "logs": LINES}]},
        {"type": "program_output", "call_id": "c", "result": LINES},
        {"type": "new_in_a_later_version", "output": LINES},
    ],
)
def test_every_text_of_a_responses_request_is_searched(item: dict[str, Any]) -> None:
    (last,) = ask_responses([item]).last_messages

    assert LINES in last.search_texts


def test_ids_and_encoded_contents_are_no_texts() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "needle"}}
    thinking = {"type": "redacted_thinking", "data": "needle"}

    (last,) = ask_messages([{"role": "user", "content": [image, thinking]}]).last_messages

    assert last.search_texts == ()


def test_texts_are_read_to_a_limited_depth() -> None:
    value: Any = "deep"
    for _ in range(MAX_LEVELS + 1):
        value = {"type": "text", "text": value}

    assert list(read_texts(value, {"text": ("text",)})) == []
    assert list(read_texts(value["text"], {"text": ("text",)})) == ["deep"]


@pytest.mark.parametrize("value", [None, 5, True, {}, {"type": ["text"], "text": 5}, [[["a"]]]])
def test_what_is_no_text_has_none(value: Any) -> None:
    assert list(read_texts(value, chat_texts.MEMBERS)) == []


def test_the_names_of_texts_depend_on_the_type_of_an_object() -> None:
    members = {"call": ("name", "input"), "": ("title",), "*": ("text", "content")}
    names = text_names(members)

    assert list(names({"type": "call"})) == ["name"]  # the input is a value of any kind
    assert list(names({})) == ["title"]
    assert list(names({"type": "new"})) == list(names({"type": 5})) == ["text", "content"]
