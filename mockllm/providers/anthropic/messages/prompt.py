"""Decodes Messages requests, compiles matches, and normalises messages for comparison."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from mockllm.exchange import Request
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import Predicate
from mockllm.prompt import NOT_STREAMED, STREAMED, Message, MessagePart, Prompt
from mockllm.providers import compared_messages, contents, message_matches, normalise, request_body
from mockllm.providers.anthropic.messages.conversation import READERS
from mockllm.providers.anthropic.messages.texts import (
    MEMBERS,
    read_content,
    read_content_in_pieces,
)
from mockllm.providers.plain import PlainReader
from mockllm.providers.routes import Values
from mockllm.providers.texts import text_names
from mockllm.wire import json_encoding, jsontext

NAME = "anthropic"
ROLES = ("user", "assistant", "system")  # anthropic 2.12.0: MessageParam has a system variant

_TEXT_NAMES = text_names(MEMBERS)

_MINIMUMS = {
    "max_tokens": 0,  # 0 fills the prompt cache and generates nothing
    "top_k": 0,
}
_MINIMUM_BUDGET = {"budget_tokens": 1024}  # of thinking, also in the docs of the SDK's type


def decode(request: Request, values: Values) -> Prompt:
    """Decode a request into a prompt.

    Raises:
        RequestError: 400, naming the member that is missing or has a wrong type.
    """
    return read(request_body.read_members(request.body, values))


def read(members: dict[str, Any], prepared: compared_messages.Prepared | None = None) -> Prompt:
    """Read the decoded body of a request into a prompt, as `decode` does. What is `prepared` is not
    done again."""
    plain = _read_plain(members) if prepared is None and "max_tokens" in members else None
    return plain or _read_any(members, prepared)


def _read_any(
    members: dict[str, Any], prepared: compared_messages.Prepared | None = None
) -> Prompt:
    model = request_body.read_model(members)
    messages = request_body.read_messages(members)
    if prepared is None:
        request_body.check_messages(messages, ROLES)
    else:
        prepared.check()
    if members.get("max_tokens") is None:
        raise request_body.missing("max_tokens")
    request_body.check_minimums(members, _MINIMUMS)
    _check_thinking(members.get("thinking"))
    stream = bool(request_body.read_flag(members, "stream"))
    last_messages = compared_messages.last_and_turn(messages, _message, prepared)
    options = STREAMED if stream else NOT_STREAMED
    return Prompt(NAME, model, last_messages, options, members, READERS)


def prepare(members: Mapping[str, Any]) -> compared_messages.Preparing:
    """Do what takes long in `read`, with pauses."""
    entries = members.get("messages")

    def check(messages: list[Any], first: int) -> None:
        request_body.check_messages(messages, ROLES, first)

    yield from request_body.check_in_slices("messages", entries, check)
    return (yield from compared_messages.last_in_pieces(entries, _message_in_pieces))


def compile_match(message: dict[str, Any], contains: bool) -> Predicate:
    """Compile a mock's `message` to a predicate.

    Raises:
        ValueError: the message has no role of this API.
    """
    message_matches.check_role(message, ROLES)
    content = message.get("content")
    relaxed = message_matches.compile_contains(
        content, message["role"], _parts(message), _TEXT_NAMES
    )
    if contains:
        return relaxed
    return message_matches.compile_exact(message, canonical, tuple(_texts(content)), relaxed)


def _check_thinking(thinking: Any) -> None:
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":
        request_body.check_minimums(thinking, _MINIMUM_BUDGET, "thinking.")


def canonical(message: dict[str, Any]) -> bytes:
    """Equal bytes for two messages if and only if they mean the same."""
    if len(message) == 2 and isinstance(message.get("content"), str):
        return jsontext.canonical_text(message["role"], message["content"])
    return jsontext.canonical(_normalise(message))


def _normalise(message: dict[str, Any]) -> dict[str, Any]:
    compared = normalise.known_members(message, ("role", "content"))
    if "content" in compared:
        compared["content"] = normalise.content(compared["content"], _block)
    return compared


_SIZES = normalise.sizes_of(_normalise)


def _message(message: dict[str, Any]) -> Message:
    content = message.get("content")
    texts: tuple[str, ...]
    search_texts: tuple[str, ...]
    if isinstance(content, str):
        texts = (content,)
        return Message(message["role"], texts, texts, (message,), canonical, _parts, content)
    texts, search_texts = tuple(_texts(content)), tuple(read_content(content))
    return Message(message["role"], texts, search_texts, (message,), canonical, _parts)


def _message_in_pieces(message: dict[str, Any]) -> Generator[None, None, Message | None]:
    """The message, with pauses; None if it is small."""
    content, role = message.get("content"), message["role"]
    if not contents.is_long(content) and not json_encoding.takes_long(message):
        return None
    if isinstance(content, str):
        return replace(_message(message), sizes=_SIZES)
    texts = yield from contents.gather(_texts_in_pieces(content))
    search_texts = yield from contents.gather(read_content_in_pieces(content))
    entries: str | Sequence[Any] = content if contents.is_long(content) else ""
    items = (message,)
    return Message(role, texts, search_texts, items, canonical, _parts_in_pieces, entries, _SIZES)


def _parts(message: dict[str, Any]) -> Iterator[MessagePart]:
    """The blocks of a message. Of results of tools, the content is a list too."""
    for block in normalise.spread_lazily(message.get("content"), _part):
        call_id = block.get("tool_use_id") if isinstance(block, dict) else None
        yield MessagePart(block, contents.text(call_id))


def _parts_in_pieces(message: dict[str, Any]) -> Iterator[MessagePart | list[Any] | None]:
    """What `_parts` finds in a large message, with pauses (`Message.parts_of`)."""
    content, effort = message.get("content"), Effort()
    for block in content if isinstance(content, list) else normalise.spread(content):
        compared = yield from _part_in_pieces(block, effort)
        call_id = compared.get("tool_use_id") if isinstance(compared, dict) else None
        yield MessagePart(compared, contents.text(call_id))


def _part_in_pieces(block: Any, effort: Effort) -> Generator[list[Any] | None, None, Any]:
    """Do what `_part` does, with pauses."""
    content = block.get("content") if isinstance(block, dict) else None
    if not isinstance(content, list):
        return _part(block)
    compared = _part(block | {"content": []})
    if "tool_use_id" in compared:
        if "content" in compared:
            content = yield from normalise.spread_in_pieces(content, _part_in_pieces, effort)
            compared["content"] = content
    elif "content" in compared:
        compared["content"] = content
    return compared


def _part(block: Any) -> Any:
    compared = normalise.known_part(block, _known_members())
    if isinstance(compared, dict) and "tool_use_id" in compared and "content" in compared:
        compared["content"] = normalise.spread(compared["content"], _part)
    return compared


def _texts(content: Any) -> Iterator[str]:
    """The texts of a content in order, including those of tool results."""
    if not isinstance(content, list):
        yield from contents.texts(content)
        return
    for block in content:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield from contents.texts(block.get("content"))
        else:
            yield from contents.texts([block])


def _texts_in_pieces(content: Any) -> Iterator[str | None]:
    """What `_texts` finds in a list, and None for each pause."""
    for number, block in enumerate(content if isinstance(content, list) else (), 1):
        inner = block.get("content") if isinstance(block, dict) else None
        if contents.is_long(inner) and block.get("type") == "tool_result":
            for start in range(0, len(inner), contents.PARTS_AT_ONCE):
                yield from contents.texts(inner[start : start + contents.PARTS_AT_ONCE])
                yield None
        else:
            yield from _texts([block])
        if not number % contents.PARTS_AT_ONCE:
            yield None


def _block(block: Any) -> Any:
    compared = normalise.known_part(block, _known_members())
    if (
        isinstance(compared, dict)
        and compared.get("type") == "tool_result"
        and "content" in compared
    ):
        compared["content"] = normalise.content(compared["content"], _block)
    return compared


@cache
def _known_members() -> normalise.KnownMembers:
    from mockllm.providers.anthropic.messages import sdk  # only where messages are compared whole

    return sdk.known_members()


_read_plain = PlainReader(
    NAME,
    READERS,
    speakers=frozenset({"user", "assistant"}),
    minimums=_MINIMUMS,
    types={"system": (str,)},
    looked_at=frozenset({"thinking"}),
    canonical=canonical,
    parts_of=_parts,
).read
