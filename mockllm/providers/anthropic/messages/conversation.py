"""Reads the conversation of a Messages request into the values that all APIs share."""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.prompt import Body, ConversationMessage, Readers, ToolCall, ToolResult
from mockllm.providers import normalise
from mockllm.providers.anthropic.messages.texts import read_content
from mockllm.providers.counts import count


def read_messages(body: Body) -> Iterator[ConversationMessage]:
    """The conversation. Each tool result in a user's message is a message of its own, followed by
    one with the user's own text."""
    for message in normalise.objects(body.get("messages")):
        content = message.get("content")
        texts = tuple(normalise.texts(content))
        blocks = normalise.objects(content)
        match message.get("role"):
            case "assistant":
                calls = (
                    ToolCall(normalise.text(block.get("id")), normalise.text(block.get("name")))
                    for block in blocks
                    if block.get("type") == "tool_use"
                )
                yield ConversationMessage("assistant", texts, tuple(calls))
            case "user":
                results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
                yield from results
                if texts or not results:
                    yield ConversationMessage("user", texts)


def read_system(body: Body) -> Iterator[str]:
    """The texts of `system`, then those of system messages."""
    yield from normalise.texts(body.get("system"))
    for message in normalise.objects(body.get("messages")):
        if normalise.is_system_note(message):
            yield from normalise.texts(message.get("content"))


def read_tools(body: Body) -> Iterator[str]:
    """The names of the tools; of a built-in tool without a name, its type."""
    return normalise.tool_names(body.get("tools"))


def read_schemas(body: Body) -> Iterator[str]:
    """The title of the schema in `output_config`, or in the older `output_format`: schemas have no
    name in this API."""
    config = body.get("output_config")
    formats = [config.get("format")] if isinstance(config, dict) else []
    for output in normalise.objects([*formats, body.get("output_format")]):
        yield from normalise.schema_names(output)


def read_forced_tool(body: Body) -> str:
    """The tool that `tool_choice` names, or the only one if the model must call some tool."""
    return normalise.forced_tool(body.get("tool_choice"), _name, read_tools(body))


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
)


def _name(choice: Body) -> str:
    return normalise.text(choice.get("name"))


def _result(block: Body) -> ToolResult:
    return ToolResult(
        texts=tuple(read_content(block.get("content"))),
        call_id=normalise.text(block.get("tool_use_id")),
        error=block.get("is_error") is True,
    )
