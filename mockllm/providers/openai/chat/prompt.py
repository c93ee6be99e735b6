"""Decodes Chat Completions requests, compiles matches, and normalises messages for comparison."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from mockllm.exchange import Request
from mockllm.matching.effort import Effort
from mockllm.matching.message_predicates import LastMessagePredicate
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.predicate import Predicate
from mockllm.prompt import NOT_STREAMED, Message, MessagePart, Prompt, ResponseOptions
from mockllm.providers import compared_messages, contents, message_matches, normalise, request_body
from mockllm.providers.openai.chat import texts as chat_texts
from mockllm.providers.openai.chat.conversation import READERS
from mockllm.providers.plain import PlainReader
from mockllm.providers.routes import Values
from mockllm.providers.texts import text_names
from mockllm.wire import json_encoding, jsontext

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

_SPEAKERS = frozenset({"developer", "system", "user", "assistant"})
"""The roles of messages that need nothing but a text."""

_TEXT_NAMES = text_names(chat_texts.MEMBERS)

_MINIMUMS = {"n": 1, "max_tokens": 1, "max_completion_tokens": 1, "top_logprobs": 0}
"""The service refuses smaller numbers with the code ``integer_below_min_value``."""


def decode(request: Request, values: Values) -> Prompt:
    """Decode a request into a prompt.

    Raises:
        RequestError: 400, naming the member that is missing or has a wrong type.
    """
    members = request_body.read_members(request.body, values)
    return _read_plain(members) or _read_any(members)


def read(members: dict[str, Any], prepared: compared_messages.Prepared | None = None) -> Prompt:
    """Read the decoded body of a request into a prompt, as `decode` does. What is `prepared` is not
    done again."""
    plain = _read_plain(members) if prepared is None else None
    return plain or _read_any(members, prepared)


def _read_any(
    members: dict[str, Any], prepared: compared_messages.Prepared | None = None
) -> Prompt:
    model = request_body.read_model(members)
    messages = request_body.read_messages(members)
    if prepared is None:
        request_body.check_messages(messages, MEMBERS)
    else:
        prepared.check()
    request_body.check_minimums(members, _MINIMUMS)
    last_messages = compared_messages.last_and_turn(messages, _message, prepared)
    return Prompt(NAME, model, last_messages, _read_options(members), members, READERS)


def prepare(members: Mapping[str, Any]) -> compared_messages.Preparing:
    """Do what takes long in `read`, with pauses."""
    entries = members.get("messages")

    def check(messages: list[Any], first: int) -> None:
        request_body.check_messages(messages, MEMBERS, first)

    yield from request_body.check_in_slices("messages", entries, check)
    return (yield from compared_messages.last_in_pieces(entries, _message_in_pieces))


def compile_match(message: dict[str, Any], contains: bool) -> Predicate:
    """Compile a mock's `message` to a predicate.

    Raises:
        ValueError: the message has no role of this API.
    """
    message_matches.check_role(message, MEMBERS)
    content, role = message.get("content"), message["role"]
    relaxed: LastMessagePredicate
    if role in ("tool", "function"):
        relaxed = _compile_result(message)
    else:
        relaxed = message_matches.compile_contains(content, role, _parts(message), _TEXT_NAMES)
    if contains:
        return relaxed
    return message_matches.compile_exact(
        message, canonical, tuple(contents.texts(content)), relaxed
    )


def canonical(message: dict[str, Any]) -> bytes:
    """Equal bytes for two messages if and only if they mean the same."""
    if len(message) == 2 and isinstance(message.get("content"), str):
        return jsontext.canonical_text(message["role"], message["content"])
    return jsontext.canonical(_normalise(message))


def _normalise(message: dict[str, Any]) -> dict[str, Any]:
    compared = normalise.known_members(message, MEMBERS[message["role"]])
    if "content" in compared:
        compared["content"] = normalise.content(compared["content"], _part)
    if "function_call" in compared:
        compared["function_call"] = _function(compared["function_call"])
    if isinstance(compared.get("tool_calls"), list):
        compared["tool_calls"] = [_tool_call(call) for call in compared["tool_calls"]]
        if not compared["tool_calls"]:
            del compared["tool_calls"]
    return compared


_SIZES = normalise.sizes_of(_normalise)


def _compile_result(message: dict[str, Any]) -> LastMessagePredicate:
    """Compile the result of a call to the condition that a message contains it. With a content, any
    call's result is meant, unless another mock differs in the call alone; without one, that of the
    call."""
    content, role = message.get("content"), message["role"]
    (whole,) = _parts(message)
    if whole.value.keys() != {"type"} and (content is None or content == []):
        return MessageHasParts((), (message_matches.compile_part(whole, _TEXT_NAMES),), role)
    parts = map(MessagePart, normalise.spread(content, _part))
    predicate = message_matches.compile_contains(content, role, parts, _TEXT_NAMES)
    return replace(predicate, call_id=whole.call_id)


def _read_options(members: Mapping[str, Any]) -> ResponseOptions:
    if "stream" not in members and "stream_options" not in members:
        return NOT_STREAMED
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
    content, role = message.get("content"), message["role"]
    if isinstance(content, str) and role != "assistant":  # as nearly always
        texts: tuple[str, ...] = (content,)
        return Message(role, texts, texts, (message,), canonical, _parts, content)
    texts = (content,) if isinstance(content, str) else tuple(contents.texts(content))
    plain = isinstance(content, str) or (content is not None and len(texts) == len(content))
    search_texts = texts if plain and role != "assistant" else chat_texts.search_texts(message)
    return Message(role, texts, search_texts, (message,), canonical, _parts)


def _message_in_pieces(message: dict[str, Any]) -> Generator[None, None, Message | None]:
    """The message, with pauses; None if it is small."""
    content, role = message.get("content"), message["role"]
    if not contents.is_long(content):
        if not json_encoding.takes_long(message):
            return None
        return (yield from _large_message(message))
    texts = yield from contents.read_in_slices(content, contents.texts)
    search_texts = texts
    if role == "assistant":
        before, behind = chat_texts.around_content(message)
        searched = yield from contents.read_in_slices(content, chat_texts.read_content)
        search_texts = (*before, *searched, *behind)
    elif len(texts) != len(content):
        search_texts = yield from contents.read_in_slices(content, chat_texts.read_content)
    items = (message,)
    return Message(role, texts, search_texts, items, canonical, _parts_in_pieces, content, _SIZES)


def _large_message(message: dict[str, Any]) -> Generator[None, None, Message]:
    """The message, with pauses: one without many parts."""
    content, role = message.get("content"), message["role"]
    if isinstance(content, str) and role != "assistant":
        return replace(_message(message), sizes=_SIZES)
    texts = (content,) if isinstance(content, str) else tuple(contents.texts(content))
    search_texts: Sequence[str] = texts
    if role == "assistant" or (content is not None and len(texts) != len(content)):
        search_texts = yield from contents.gather(chat_texts.search_texts_in_pieces(message))
    items = (message,)
    return Message(role, texts, search_texts, items, canonical, _parts_in_pieces, sizes=_SIZES)


def _parts(message: dict[str, Any]) -> Iterator[MessagePart]:
    """The parts of a message. The result of a call is one part, with the content as a list."""
    if message["role"] in ("tool", "function"):
        content = normalise.spread(message.get("content"), _part)
        names = MEMBERS[message["role"]]
        result = normalise.known_members(message, names) | {"type": "tool_result"}
        del result["role"]
        result.pop("content", None)
        if content:
            result["content"] = content
        yield MessagePart(result, contents.text(message.get("tool_call_id")))
    else:
        yield from map(MessagePart, normalise.spread_lazily(message.get("content"), _part))


def _parts_in_pieces(message: dict[str, Any]) -> Iterator[MessagePart | list[Any] | None]:
    """What `_parts` finds in a large message, with pauses (`Message.parts_of`)."""
    content = message.get("content")
    if message["role"] not in ("tool", "function") or not isinstance(content, list):
        yield from _parts(message)
        return
    parts = yield from normalise.spread_in_pieces(content, _part_at_once, Effort())
    (whole,) = _parts(message | {"content": []})
    if parts:
        whole.value["content"] = parts
    yield whole


def _part_at_once(part: Any, effort: Effort) -> Generator[None, None, Any]:
    """Do what `_part` does, which takes not long."""
    yield from ()
    return _part(part)


def _part(part: Any) -> Any:
    return normalise.known_part(part, _known_members())


def _tool_call(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    compared = {
        "type": "function",
        **normalise.known_members(call, ("id", "type", "function", "custom")),
    }
    if "function" in compared:
        compared["function"] = _function(compared["function"])
    if isinstance(compared.get("custom"), dict):
        compared["custom"] = normalise.known_members(compared["custom"], ("name", "input"))
    return compared


def _function(function: Any) -> Any:
    if not isinstance(function, dict):
        return function
    compared = normalise.known_members(function, ("name", "arguments"))
    if "arguments" in compared:
        compared["arguments"] = normalise.arguments(compared["arguments"])
    return compared


@cache
def _known_members() -> normalise.KnownMembers:
    from mockllm.providers.openai.chat import sdk  # only where messages are compared whole

    return sdk.known_members()


_read_plain = PlainReader(
    NAME,
    READERS,
    speakers=_SPEAKERS,
    minimums=_MINIMUMS,
    types={
        "presence_penalty": (float, int),
        "frequency_penalty": (float, int),
        "seed": (int,),
        "user": (str,),
    },
    looked_at=frozenset({"stream_options"}),
    canonical=canonical,
    parts_of=_parts,
).read
