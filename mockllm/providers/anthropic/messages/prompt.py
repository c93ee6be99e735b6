"""Decodes Messages requests, compiles matches, and normalises messages for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from mockllm.exchange import Request
from mockllm.matching.predicates import ItemsEqual, MessageContains, Predicate
from mockllm.prompt import NOT_STREAMED, STREAMED, Message, Prompt
from mockllm.providers import normalise, request_body
from mockllm.providers.anthropic.messages.conversation import READERS
from mockllm.providers.routes import Values
from mockllm.wire import jsontext

NAME = "anthropic"
ROLES = ("user", "assistant", "system")  # anthropic 2.12.0: MessageParam has a system variant


def decode(request: Request, values: Values) -> Prompt:
    """A request as the rules see it.

    Raises:
        RequestError: 400, naming the member that is absent or of a wrong type.
    """
    members = request_body.read_members(request.body, values)
    model = request_body.read_model(members)
    messages = request_body.read_messages(members, ROLES)
    if members.get("max_tokens") is None:
        raise request_body.missing("max_tokens")
    request_body.check_at_least_one(members, "max_tokens")
    stream = bool(request_body.read_flag(members, "stream"))
    last_messages = normalise.last_and_turn(messages, _message)
    options = STREAMED if stream else NOT_STREAMED
    return Prompt(NAME, model, last_messages, options, members, READERS)


def compile_match(message: dict[str, Any], contains: bool) -> Predicate:
    """The predicate for a mock's `message`.

    Raises:
        ValueError: the message has no role of this API, or not exactly one text to look for.
    """
    role = message.get("role")
    if role not in ROLES:
        raise ValueError(
            f"role: expected one of {', '.join(ROLES)}, found {jsontext.describe(role)}"
        )
    if contains:
        text = normalise.text_to_contain(message.get("content"), "content")
        return MessageContains(text, role)
    texts = tuple(_texts(message.get("content")))
    return ItemsEqual.of((message,), canonical, texts, role)


def canonical(message: dict[str, Any]) -> bytes:
    """Equal bytes for two messages if and only if they mean the same."""
    if len(message) == 2 and isinstance(message.get("content"), str):
        return jsontext.canonical_text(message["role"], message["content"])
    kept = normalise.known_members(message, ("role", "content"))
    if "content" in kept:
        kept["content"] = normalise.content(kept["content"], _block)
    return jsontext.canonical(kept)


def _message(message: dict[str, Any]) -> Message:
    content = message.get("content")
    texts = (content,) if isinstance(content, str) else tuple(_texts(content))
    return Message(message["role"], texts, texts, (message,), canonical)


def _texts(content: Any) -> Iterator[str]:
    """The texts of a content, those of tool results among them, in order."""
    if not isinstance(content, list):
        yield from normalise.texts(content)
        return
    for block in content:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield from normalise.texts(block.get("content"))
        else:
            yield from normalise.texts([block])


def _block(block: Any) -> Any:
    kept = normalise.known_part(block, _known_members())
    if isinstance(kept, dict) and kept.get("type") == "tool_result" and "content" in kept:
        kept["content"] = normalise.content(kept["content"], _block)
    return kept


@cache
def _known_members() -> normalise.KnownMembers:
    from mockllm.providers.anthropic.messages import sdk  # only where messages are compared whole

    return sdk.known_members()
