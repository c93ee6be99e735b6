"""Reads the conversation of a Chat Completions request into the values that all APIs share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mockllm.prompt import Body, ConversationMessage, Readers, ToolCall, ToolResult
from mockllm.providers import compared_messages, contents, request_names
from mockllm.providers.counts import count
from mockllm.providers.openai.chat.texts import read_content


def read_messages(body: Body) -> Iterator[ConversationMessage | None]:
    """The conversation, with pauses. The older `function` messages are tool results with the name
    of the tool."""
    for message in contents.objects(body.get("messages")):
        content, role = message.get("content"), message.get("role")
        read = read_content if role in ("tool", "function") else contents.texts
        if isinstance(content, str):
            texts: Sequence[str] = (content,)
        else:
            texts = yield from contents.read_in_slices(content, read)
        match role:
            case "user":
                yield ConversationMessage("user", texts)
            case "assistant":
                refusal = tuple(contents.texts(message.get("refusal")))
                called = message.get("tool_calls")
                calls = (yield from contents.read_in_slices(called, _calls_of)) if called else ()
                legacy = tuple(_legacy_call(message))
                texts = (*texts, *refusal) if refusal else texts
                yield ConversationMessage(
                    "assistant", texts, (*calls, *legacy) if legacy else calls
                )
            case "tool":
                call_id = contents.text(message.get("tool_call_id"))
                yield ToolResult(texts=texts, call_id=call_id)
            case "function":
                yield ToolResult(texts=texts, name=contents.text(message.get("name")))


def read_system(body: Body) -> Iterator[str]:
    """The texts of system and developer messages."""
    for message in contents.objects(body.get("messages")):
        if compared_messages.is_system_note(message):
            yield from contents.texts(message.get("content"))


def read_tools(body: Body) -> Iterator[str]:
    """The names of the tools, then those of the legacy `functions`."""
    for tool in contents.objects(body.get("tools")):
        yield _name(tool) or contents.text(tool.get("type"))
    for function in contents.objects(body.get("functions")):
        yield contents.text(function.get("name"))


def read_schemas(body: Body) -> Iterator[str]:
    """The name in `response_format`."""
    yield from request_names.schema_names(body.get("response_format"))


def read_forced_tool(body: Body) -> str:
    """The tool that `tool_choice` or the legacy `function_call` names, or the only one if the model
    must call some tool."""
    choice = body.get("tool_choice")
    legacy = body.get("function_call")
    if choice is None and isinstance(legacy, dict):
        return contents.text(legacy.get("name"))
    return request_names.forced_tool(choice, _name, read_tools(body))


def read_output_limit(body: Body) -> int | None:
    """`max_completion_tokens`, or the older `max_tokens`."""
    limit = count(body.get("max_completion_tokens"))
    return count(body.get("max_tokens")) if limit is None else limit


READERS = Readers(
    read_messages,
    read_system,
    read_tools,
    read_schemas,
    read_forced_tool,
    output_limit=read_output_limit,
    conversation="messages",
    untold_failures="a request of OpenAI Chat Completions does not tell that a tool failed",
)


def _calls_of(called: Any) -> Iterator[ToolCall]:
    for call in contents.objects(called):
        yield ToolCall(contents.text(call.get("id")), _name(call))


def _legacy_call(message: Body) -> Iterator[ToolCall]:
    function = message.get("function_call")
    if isinstance(function, dict):
        yield ToolCall("", contents.text(function.get("name")))


def _name(tool: Body) -> str:
    """The name of a tool or a call, which is in its member `function` or `custom`."""
    for kind in ("function", "custom"):
        inner = tool.get(kind)
        if isinstance(inner, dict):
            return contents.text(inner.get("name"))
    return ""
