"""Reads the conversation of a Responses request into the values that all APIs share.

An answer of the model comes back as several items (its reasoning, its words, its calls), which are
one message here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockllm.prompt import Body, ConversationMessage, Readers, ToolCall, ToolResult
from mockllm.providers import normalise

_OUTPUT = "_call_output"  # ends the type of every result: function_call_output, ...
_CALL = "_call"  # ends the type of every call: function_call, computer_call, ...
_OF_THE_CLIENT = frozenset({"mcp_approval_response", "additional_tools", "compaction_trigger"})
"""Items of the client that are neither a message nor a result."""


def read_messages(body: Body) -> Iterator[ConversationMessage]:
    """The conversation, without what `previous_response_id` refers to."""
    for item in normalise.objects(items_of(body["input"])):
        kind = normalise.text(item.get("type"))
        if is_message(item):
            if not normalise.is_system_note(item):
                texts = tuple(normalise.texts(item.get("content")))
                yield ConversationMessage(normalise.text(item.get("role")), texts)
        elif kind.endswith(_OUTPUT):
            yield _result(item)
        elif kind not in _OF_THE_CLIENT:
            yield ConversationMessage("assistant", calls=tuple(_calls(item)))


def read_system(body: Body) -> Iterator[str]:
    """The texts of `instructions`, then those of system and developer messages."""
    yield from normalise.texts(body.get("instructions"))
    for item in normalise.objects(items_of(body["input"])):
        if is_message(item) and normalise.is_system_note(item):
            yield from normalise.texts(item.get("content"))


def read_tools(body: Body) -> Iterator[str]:
    """The names of the tools; the service's own are known by their type (``web_search``)."""
    for tool in normalise.objects(body.get("tools")):
        yield normalise.text(tool.get("name")) or normalise.text(tool.get("type"))


READERS = Readers(read_messages, read_system, read_tools)


def items_of(value: str | list[Any]) -> list[Any]:
    """An input as its items: a string is one message of the user."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    return value


def is_message(item: Mapping[str, Any]) -> bool:
    """Whether an item is a message: by its type, or without one by having a role."""
    kind = item.get("type")
    return kind == "message" or (kind is None and "role" in item)


def _result(item: Body) -> ToolResult:
    return ToolResult(
        texts=tuple(normalise.texts(item.get("output"))),
        call_id=normalise.text(item.get("call_id")) or normalise.text(item.get("id")),
        error=item.get("status") == "failed",  # of apply_patch_call_output
    )


def _calls(item: Body) -> Iterator[ToolCall]:
    """The call that an item is, if the client is to answer it: those have a `call_id`. A tool of
    the service is named by its type (``computer``)."""
    call_id = normalise.text(item.get("call_id"))
    if call_id:
        kind = normalise.text(item.get("type")).removesuffix(_CALL)
        yield ToolCall(call_id, normalise.text(item.get("name")) or kind)
