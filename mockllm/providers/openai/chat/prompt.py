"""Decodes Chat Completions requests, compiles matches, and normalises messages for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from mockllm.exchange import Request
from mockllm.matching.predicates import ItemsEqual, MessageContains, Predicate
from mockllm.prompt import NOT_STREAMED, Message, Prompt, ResponseOptions
from mockllm.providers import normalise, request_body
from mockllm.providers.openai.chat.conversation import READERS
from mockllm.providers.routes import Values
from mockllm.wire import jsontext

NAME = "openai"
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "developer": ("role", "content", "name"),
    "system": ("role", "content", "name"),
    "user": ("role", "content", "name"),
    "assistant": (
        "role",
        "content",
        "name",
        "refusal",
        "audio",
        "function_call",
        "tool_calls",
    ),
    "tool": ("role", "content", "tool_call_id"),
    "function": ("role", "content", "name"),
}
"""The members of a message that are compared, by role."""


def decode(request: Request, values: Values) -> Prompt:
    """A request as the rules see it.

    Raises:
        RequestError: 400, naming the member that is absent or of a wrong type.
    """
    members = request_body.read_members(request.body, values)
    model = request_body.read_model(members)
    messages = request_body.read_messages(members, MEMBERS)
    request_body.check_at_least_one(members, "n", "max_tokens", "max_completion_tokens")
    last_messages = normalise.last_and_turn(messages, _message)
    return Prompt(NAME, model, last_messages, _read_options(members), members, READERS)


def compile_match(message: dict[str, Any], contains: bool) -> Predicate:
    """The predicate for a mock's `message`.

    Raises:
        ValueError: the message has no role of this API, or not exactly one text to look for.
    """
    role = message.get("role")
    if role not in MEMBERS:
        raise ValueError(
            f"role: expected one of {', '.join(MEMBERS)}, found {jsontext.describe(role)}"
        )
    if contains:
        text = normalise.text_to_contain(message.get("content"), "content")
        return MessageContains(text, role)
    texts = tuple(normalise.texts(message.get("content")))
    return ItemsEqual.of((message,), canonical, texts, role)


def canonical(message: dict[str, Any]) -> bytes:
    """Equal bytes for two messages if and only if they mean the same."""
    if len(message) == 2 and isinstance(message.get("content"), str):
        return jsontext.canonical_text(message["role"], message["content"])
    kept = normalise.known_members(message, MEMBERS[message["role"]])
    if "content" in kept:
        kept["content"] = normalise.content(kept["content"], _part)
    if "function_call" in kept:
        kept["function_call"] = _function(kept["function_call"])
    if isinstance(kept.get("tool_calls"), list):
        kept["tool_calls"] = [_tool_call(call) for call in kept["tool_calls"]]
        if not kept["tool_calls"]:
            del kept["tool_calls"]
    return jsontext.canonical(kept)


def _read_options(members: Mapping[str, Any]) -> ResponseOptions:
    stream = request_body.read_flag(members, "stream")
    if not stream and "stream_options" not in members:
        return NOT_STREAMED
    options = request_body.read_object_member(members, "stream_options")
    usage = request_body.read_flag(options, "include_usage", "stream_options.include_usage")
    padding = request_body.read_flag(
        options, "include_obfuscation", "stream_options.include_obfuscation"
    )
    if not stream:
        return NOT_STREAMED
    return ResponseOptions(
        stream=True, include_usage=bool(usage), include_obfuscation=padding is not False
    )


def _message(message: dict[str, Any]) -> Message:
    content = message.get("content")
    texts = (content,) if isinstance(content, str) else tuple(normalise.texts(content))
    return Message(message["role"], texts, texts, (message,), canonical)


def _part(part: Any) -> Any:
    return normalise.known_part(part, _known_members())


def _tool_call(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    kept = {
        "type": "function",
        **normalise.known_members(call, ("id", "type", "function", "custom")),
    }
    if "function" in kept:
        kept["function"] = _function(kept["function"])
    if isinstance(kept.get("custom"), dict):
        kept["custom"] = normalise.known_members(kept["custom"], ("name", "input"))
    return kept


def _function(function: Any) -> Any:
    if not isinstance(function, dict):
        return function
    kept = normalise.known_members(function, ("name", "arguments"))
    if "arguments" in kept:
        kept["arguments"] = normalise.arguments(kept["arguments"])
    return kept


@cache
def _known_members() -> normalise.KnownMembers:
    from mockllm.providers.openai.chat import sdk  # only where messages are compared whole

    return sdk.known_members()
