"""Reads the conversation of a Messages request into the values that all APIs share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mockllm.prompt import Body, ConversationMessage, Readers, ToolCall, ToolResult
from mockllm.providers import compared_messages, contents, request_names
from mockllm.providers.anthropic.messages.texts import read_content
from mockllm.providers.counts import count


def read_messages(body: Body) -> Iterator[ConversationMessage | None]:
    """The conversation, with pauses. Each tool result in a user's message is a message of its own,
    followed by one with the user's own text."""
    for message in contents.objects(body.get("messages")):
        content = message.get("content")
        if isinstance(content, str):
            texts: Sequence[str] = (content,)
        else:
            texts = yield from contents.read_in_slices(content, contents.texts)
        match message.get("role"):
            case "assistant":
                calls = yield from contents.read_in_slices(content, _calls)
                yield ConversationMessage("assistant", texts, calls)
            case "user":
                has_result = False
                for number, block in enumerate(contents.objects(content), 1):
                    if block.get("type") == "tool_result":
                        has_result = True
                        yield from _result(block)
                    if not number % contents.PARTS_AT_ONCE:
                        yield None
                if texts or not has_result:
                    yield ConversationMessage("user", texts)


def read_system(body: Body) -> Iterator[str]:
    """The texts of `system`, then those of system messages."""
    yield from contents.texts(body.get("system"))
    for message in contents.objects(body.get("messages")):
        if compared_messages.is_system_note(message):
            yield from contents.texts(message.get("content"))


def read_tools(body: Body) -> Iterator[str]:
    """The names of the tools; of a built-in tool without a name, its type."""
    return request_names.tool_names(body.get("tools"))


def read_schemas(body: Body) -> Iterator[str]:
    """The title of the schema in `output_config`, or in the older `output_format`: schemas have no
    name in this API."""
    config = body.get("output_config")
    formats = [config.get("format")] if isinstance(config, dict) else []
    for output in contents.objects([*formats, body.get("output_format")]):
        yield from request_names.schema_names(output)


def read_forced_tool(body: Body) -> str:
    """The tool that `tool_choice` names, or the only one if the model must call some tool."""
    return request_names.forced_tool(body.get("tool_choice"), _name, read_tools(body))


def read_output_limit(body: Body) -> int | None:
    """`max_tokens`, which the service requires."""
    return count(body.get("max_tokens"))


READERS = Readers(
    read_messages,
    read_system,
    read_tools,
    read_schemas,
    read_forced_tool,
    output_limit=read_output_limit,
    conversation="messages",
)


def _name(choice: Body) -> str:
    return contents.text(choice.get("name"))


def _calls(content: Any) -> Iterator[ToolCall]:
    for block in contents.objects(content):
        if block.get("type") == "tool_use":
            yield ToolCall(contents.text(block.get("id")), contents.text(block.get("name")))


def _result(block: Body) -> Iterator[ToolResult | None]:
    """The result in a block, with pauses before it if it is long."""
    content = block.get("content")
    texts = yield from contents.read_in_slices(content, read_content)
    yield ToolResult(
        texts=texts,
        call_id=contents.text(block.get("tool_use_id")),
        error=block.get("is_error") is True,
    )
