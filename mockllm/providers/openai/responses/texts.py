"""Reads the texts of an input item of Responses (openai 3.57.0: `ResponseInputItemParam`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.texts import OTHER, TextMembers, read_texts, read_texts_in_pieces

_CALL = ("name", "arguments")
_OUTPUT = ("output",)
_ACTION = ("action",)
_PATCH = ("path", "diff")

MEMBERS: TextMembers = {
    "message": ("content",),
    "input_text": ("text",),
    "input_file": ("filename",),
    "output_text": ("text",),
    "refusal": ("refusal",),
    "reasoning": ("summary", "content"),
    "summary_text": ("text",),
    "reasoning_text": ("text",),
    "function_call": _CALL,
    "function_call_output": ("name", "output"),
    "custom_tool_call": ("name", "input"),
    "custom_tool_call_output": _OUTPUT,
    "tool_search_call": ("arguments",),
    "mcp_call": (*_CALL, "output", "error"),
    "mcp_protocol_error": ("message",),
    "mcp_tool_execution_error": ("content",),
    "http_error": ("message",),
    "mcp_approval_request": _CALL,
    "mcp_approval_response": ("reason",),
    "mcp_list_tools": ("error",),
    "file_search_call": ("queries", "results"),
    "web_search_call": _ACTION,
    "search": ("query", "queries"),
    "find_in_page": ("pattern",),
    "computer_call": ("action", "actions", "pending_safety_checks"),
    "type": ("text",),  # an action of a computer
    "computer_call_output": ("acknowledged_safety_checks", "output"),
    "code_interpreter_call": ("code", "outputs"),
    "logs": ("logs",),
    "local_shell_call": _ACTION,
    "exec": ("command",),
    "local_shell_call_output": _OUTPUT,
    "shell_call": _ACTION,
    "shell_call_output": _OUTPUT,
    "apply_patch_call": ("operation",),
    "create_file": _PATCH,
    "update_file": _PATCH,
    "delete_file": _PATCH,
    "apply_patch_call_output": _OUTPUT,
    "image_generation_call": ("revised_prompt", "error"),
    "program": ("code",),
    "program_output": ("result",),
    "": ("content", "commands", "stdout", "stderr", "filename", "text", "message"),
    OTHER: ("name", "arguments", "input", "output", "result", "content", "summary", "text"),
}
"""Items and what is inside of them. Without a type: a message, the action or the output of a shell,
a result of a search, a safety check, an error."""


def read_item(item: Any) -> Iterator[str]:
    """The texts of an item, a content or an output."""
    return read_texts(item, MEMBERS)


def read_item_in_pieces(item: Any) -> Iterator[str | None]:
    """The texts of an item, and None for each pause."""
    return read_texts_in_pieces(item, MEMBERS)
