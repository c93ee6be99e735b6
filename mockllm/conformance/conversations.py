"""A conversation as the body of a request to each API.

Members that requests need and that say nothing are left out: `probes` fills them in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from mockllm.conformance.drafts import Conversation
from mockllm.prompt import ConversationMessage, ToolResult
from mockllm.providers.api import API

Json = dict[str, Any]

MAX_TOKENS = 1024
_NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def bodies(
    api: API, conversation: Conversation, own: Sequence[Any] | None, inputs: int = 1
) -> Iterator[Json]:
    """Yield bodies that say a conversation. With `own`, messages or input items in the form of
    `api`, these are the whole conversation, or its last turn. An embeddings request has as many
    `inputs`."""
    if api.respond is None:
        yield {"model": conversation.model, "input": _input(conversation, own, inputs)}
        return
    write = _WRITERS[api.word]
    if own is not None:
        yield write(conversation, (), own)
        yield write(conversation, _before_last_turn(conversation.messages), own)
    else:
        yield write(conversation, conversation.messages, ())


def _input(conversation: Conversation, own: Sequence[Any] | None, inputs: int) -> Any:
    """Return an input of Embeddings: texts, or tokens, each as many times as is needed."""
    said = [text for message in conversation.messages for text in message.texts]
    entries: list[Any] = said if own is None else [*own]
    if inputs > 1 and isinstance(entries[0], int):  # the tokens of one text
        entries = [entries]
    is_one = inputs == 1 and len(entries) == 1 and isinstance(entries[0], str)
    return entries[0] if is_one else entries * inputs


def _before_last_turn(
    messages: Sequence[ConversationMessage],
) -> Sequence[ConversationMessage]:
    last_turn = list(takewhile(lambda each: each.role != "assistant", reversed(messages)))
    return messages[: len(messages) - len(last_turn)]


def _content(texts: Sequence[str], kind: str = "text") -> Any:
    """Return one text as it is, several as a list of parts."""
    return texts[0] if len(texts) == 1 else [{"type": kind, "text": text} for text in texts]


# --- Chat Completions ----------------------------------------------------------------------------


def _chat(
    conversation: Conversation, messages: Sequence[ConversationMessage], own: Sequence[Any]
) -> Json:
    written = [{"role": "system", "content": text} for text in conversation.system]
    body: Json = {
        "model": conversation.model,
        "messages": [*written, *map(_chat_message, messages), *own],
    }
    if conversation.schemas:
        schema = {"name": conversation.schemas[0], "schema": _NO_PARAMETERS}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    forced = conversation.schemas[1:2]
    if forced:
        body["tool_choice"] = {"type": "function", "function": {"name": forced[0]}}
    names = dict.fromkeys((*conversation.tools, *forced))
    tools = [
        {"type": "function", "function": {"name": name, "parameters": _NO_PARAMETERS}}
        for name in names
    ]
    return body | ({"tools": tools} if tools else {})


def _chat_message(message: ConversationMessage) -> Json:
    written: Json = {"role": message.role, "content": _content(message.texts)}
    if isinstance(message, ToolResult):
        written["tool_call_id"] = message.call_id
    if message.calls:
        written["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for call_id, name in message.calls
        ]
    return written


# --- Responses -----------------------------------------------------------------------------------


def _responses(
    conversation: Conversation, messages: Sequence[ConversationMessage], own: Sequence[Any]
) -> Json:
    failed = {each.call_id for each in messages if isinstance(each, ToolResult) and each.error}
    notes = [{"role": "developer", "content": text} for text in conversation.system[1:]]
    items = [item for message in messages for item in _items(message, failed)]
    written = [_user(each) if isinstance(each, str) else each for each in own]
    body: Json = {"model": conversation.model, "input": _as_text([*notes, *items, *written])}
    if conversation.system:
        body["instructions"] = conversation.system[0]
    if conversation.schemas:
        schema = {"name": conversation.schemas[0], "schema": _NO_PARAMETERS}
        body["text"] = {"format": {"type": "json_schema", **schema}}
    forced = conversation.schemas[1:2]
    if forced:
        body["tool_choice"] = {"type": "function", "name": forced[0]}
    tools = [
        {"type": "function", "name": name, "parameters": _NO_PARAMETERS, "strict": False}
        for name in dict.fromkeys((*conversation.tools, *forced))
    ]
    return body | ({"tools": tools} if tools else {})


def _user(text: str) -> Json:
    return {"role": "user", "content": text}


def _as_text(items: list[Any]) -> Any:
    """Return an input as the text that it is, if it is only what a user says."""
    match items:
        case [{"role": "user", "content": str() as text, **others}] if not others:
            return text
    return items


def _items(message: ConversationMessage, failed: set[str]) -> Iterator[Json]:
    """Yield the items of a message. Of tools whose failure can be told, there is one: the patch."""
    if isinstance(message, ToolResult):
        output = {"call_id": message.call_id, "output": _content(message.texts, "input_text")}
        if message.error:
            yield {"type": "apply_patch_call_output", "status": "failed", **output}
        else:
            yield {"type": "function_call_output", **output}
        return
    if message.texts:
        is_answer = message.role == "assistant"
        content = _content(message.texts, "output_text" if is_answer else "input_text")
        yield {"role": message.role, "content": content}
    for call_id, name in message.calls:
        if call_id in failed:
            operation = {"type": "delete_file", "path": "a"}
            yield {
                "type": "apply_patch_call",
                "call_id": call_id,
                "status": "completed",
                "operation": operation,
            }
        else:
            yield {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


# --- Messages ------------------------------------------------------------------------------------


def _messages(
    conversation: Conversation, messages: Sequence[ConversationMessage], own: Sequence[Any]
) -> Json:
    written = [
        {"role": "assistant" if each.role == "assistant" else "user", "content": _blocks(each)}
        for each in messages
    ]
    body: Json = {
        "model": conversation.model,
        "max_tokens": MAX_TOKENS,
        "messages": [*written, *own],
    }
    if conversation.system:
        body["system"] = _content(conversation.system)
    # The schema is that of a tool first: older clients cannot send another.
    first = 0 if conversation.has_no_tools else 1
    forced, formats = conversation.schemas[:first], conversation.schemas[first:]
    if formats:
        schema = _NO_PARAMETERS | {"title": formats[0]}
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if forced:
        body["tool_choice"] = {"type": "tool", "name": forced[0]}
    tools = [
        {"name": name, "input_schema": _NO_PARAMETERS}
        for name in dict.fromkeys((*conversation.tools, *forced))
    ]
    return body | ({"tools": tools} if tools else {})


def _blocks(message: ConversationMessage) -> Any:
    if isinstance(message, ToolResult):
        result: Json = {"type": "tool_result", "tool_use_id": message.call_id}
        result["content"] = _content(message.texts)
        return [result | ({"is_error": True} if message.error else {})]
    if not message.calls:
        return _content(message.texts)
    return [
        *({"type": "text", "text": text} for text in message.texts),
        *(
            {"type": "tool_use", "id": call_id, "name": name, "input": {}}
            for call_id, name in message.calls
        ),
    ]


_WRITERS: Mapping[
    str, Callable[[Conversation, Sequence[ConversationMessage], Sequence[Any]], Json]
] = {"chat": _chat, "responses": _responses, "messages": _messages}
