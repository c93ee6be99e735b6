"""Reads the conversation of a Responses request into the values that all APIs share.

An answer of the model is sent back as several items (reasoning, messages, calls). Each of them is a
message here; the prompt joins them to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mockllm.prompt import Body, ConversationMessage, Readers, ToolCall, ToolResult
from mockllm.providers import compared_messages, contents, request_names
from mockllm.providers.counts import count
from mockllm.providers.openai.responses.texts import read_item

_OUTPUT = "_call_output"  # ends the type of every result: function_call_output, ...
_CALL = "_call"  # ends the type of every call: function_call, computer_call, ...
_OTHER_CLIENT_ITEMS = frozenset({"mcp_approval_response", "additional_tools", "compaction_trigger"})
"""Types of items that clients create and that are neither messages nor results."""


def read_messages(body: Body) -> Iterator[ConversationMessage | None]:
    """The conversation, with pauses, without the one that `previous_response_id` refers to."""
    for item in contents.objects(items_of(body["input"])):
        kind = contents.text(item.get("type"))
        if is_message(item):
            if not compared_messages.is_system_note(item):
                content = item.get("content")
                if isinstance(content, str):
                    texts: Sequence[str] = (content,)
                else:
                    texts = yield from contents.read_in_slices(content, contents.texts)
                yield ConversationMessage(contents.text(item.get("role")), texts)
        elif is_result(item):
            yield from _result(item)
        elif kind not in _OTHER_CLIENT_ITEMS:
            yield ConversationMessage("assistant", calls=tuple(_calls(item)))


def read_system(body: Body) -> Iterator[str]:
    """The texts of `instructions`, then those of system and developer messages."""
    yield from contents.texts(body.get("instructions"))
    for item in contents.objects(items_of(body["input"])):
        if is_message(item) and compared_messages.is_system_note(item):
            yield from contents.texts(item.get("content"))


def read_tools(body: Body) -> Iterator[str]:
    """The names of the tools; of a built-in tool without a name, its type (``web_search``)."""
    return request_names.tool_names(body.get("tools"))


def read_schemas(body: Body) -> Iterator[str]:
    """The name in `text.format`."""
    options = body.get("text")
    if isinstance(options, dict):
        yield from request_names.schema_names(options.get("format"))


def read_forced_tool(body: Body) -> str:
    """The tool that `tool_choice` names, or the only one if the model must call some tool."""
    return request_names.forced_tool(body.get("tool_choice"), _name, read_tools(body))


def continues(body: Body) -> bool:
    """True if the conversation goes on from one that the service stores."""
    return bool(body.get("previous_response_id") or body.get("conversation"))


def read_output_limit(body: Body) -> int | None:
    """`max_output_tokens`."""
    return count(body.get("max_output_tokens"))


READERS = Readers(
    read_messages,
    read_system,
    read_tools,
    read_schemas,
    read_forced_tool,
    continues,
    read_output_limit,
    conversation="input",
    untold_failures="a request of OpenAI Responses tells of patches only that a tool failed",
)


def items_of(value: str | list[Any]) -> list[Any]:
    """The items of an input; a string is one message of the user."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    return value


def is_message(item: Mapping[str, Any]) -> bool:
    """True if an item is a message, by its type or, if it has none, by its role."""
    kind = item.get("type")
    return kind == "message" or (kind is None and "role" in item)


def is_result(item: Mapping[str, Any]) -> bool:
    """True if an item is the result of a call."""
    return contents.text(item.get("type")).endswith(_OUTPUT)


def call_id_of(item: Mapping[str, Any]) -> str:
    """The id of the call whose result an item is."""
    return contents.text(item.get("call_id")) or contents.text(item.get("id"))


def _result(item: Body) -> Iterator[ToolResult | None]:
    """The result that an item is, with pauses before it if it is long."""
    output = item.get("output")
    texts = yield from contents.read_in_slices(output, read_item)
    yield ToolResult(
        texts=texts,
        call_id=call_id_of(item),
        error=item.get("status") == "failed",  # of apply_patch_call_output
    )


def _name(choice: Body) -> str:
    return contents.text(choice.get("name"))


def _calls(item: Body) -> Iterator[ToolCall]:
    """The tool call in an item, if the client has to run it: then it has a `call_id`. A built-in
    tool is named by its type (``computer``)."""
    call_id = contents.text(item.get("call_id"))
    if call_id:
        kind = contents.text(item.get("type")).removesuffix(_CALL)
        yield ToolCall(call_id, contents.text(item.get("name")) or kind)
