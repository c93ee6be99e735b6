"""Reads the texts of a message of the Messages API (anthropic 2.14.0: `ContentBlockParam` and
`BetaContentBlockParam`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.texts import OTHER, TextMembers, read_texts, read_texts_in_pieces

_CALL = ("name", "input")
_RESULT = ("content",)
_FAILURE = ("error_message",)
_OUTPUT = ("stdout", "stderr")

MEMBERS: TextMembers = {
    "text": ("text", "data"),  # a block, or the source of a document
    "content": ("content",),  # the source of a document
    "document": ("title", "context", "source"),
    "search_result": ("title", "content"),
    "thinking": ("thinking",),
    "tool_use": _CALL,
    "server_tool_use": _CALL,
    "mcp_tool_use": _CALL,
    "tool_result": _RESULT,
    "mcp_tool_result": _RESULT,
    "tool_reference": ("tool_name",),
    "browser_state": ("tabs", "events"),
    "download_failed": ("error",),
    "web_search_tool_result": _RESULT,
    "web_search_result": ("title",),
    "web_fetch_tool_result": _RESULT,
    "web_fetch_result": _RESULT,
    "code_execution_tool_result": _RESULT,
    "code_execution_result": _OUTPUT,
    "encrypted_code_execution_result": ("stderr",),
    "bash_code_execution_tool_result": _RESULT,
    "bash_code_execution_result": _OUTPUT,
    "text_editor_code_execution_tool_result": _RESULT,
    "text_editor_code_execution_tool_result_error": _FAILURE,
    "text_editor_code_execution_view_result": _RESULT,
    "text_editor_code_execution_str_replace_result": ("lines",),
    "tool_search_tool_result": _RESULT,
    "tool_search_tool_result_error": _FAILURE,
    "tool_search_tool_search_result": ("tool_references",),
    "advisor_tool_result": _RESULT,
    "advisor_result": ("text",),
    "compaction": ("content",),
    "": ("title", "text"),  # a tab of a browser
    OTHER: ("text", "content"),
}
"""Blocks and what is inside of them."""


def read_content(content: Any) -> Iterator[str]:
    """The texts of a content."""
    return read_texts(content, MEMBERS)


def read_content_in_pieces(content: Any) -> Iterator[str | None]:
    """The texts of a content, and None for each pause."""
    return read_texts_in_pieces(content, MEMBERS)
