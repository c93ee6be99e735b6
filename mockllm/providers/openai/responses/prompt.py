"""Decodes Responses requests, compiles matches, and normalises items for comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from mockllm.exchange import Request
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual, MessageContains, Relaxed
from mockllm.matching.part_predicates import ItemsEndLike
from mockllm.matching.parts import Part
from mockllm.matching.predicate import Predicate
from mockllm.matching.texts import MAX_QUOTE
from mockllm.prompt import Message, MessagePart, Prompt, ResponseOptions
from mockllm.providers import compared_messages, contents, message_matches, normalise, request_body
from mockllm.providers.openai.responses.conversation import (
    READERS,
    call_id_of,
    is_message,
    is_result,
    items_of,
)
from mockllm.providers.openai.responses.texts import MEMBERS, read_item, read_item_in_pieces
from mockllm.providers.routes import Values
from mockllm.providers.texts import text_members, text_names
from mockllm.wire import json_encoding, jsontext

NAME = "openai_response"
ROLES = ("user", "assistant", "system", "developer")

_REFERENCES = ("item_reference", "local_shell_call_output")  # a type may be no string
"""Items whose `id` refers to another item. In all others, `id` and `status` were assigned by the
server: a client sends back those of an answer, and a mock cannot know them in advance."""

DEFAULT_MODEL = "gpt-4o"
"""The model of a request that names a stored prompt and no model: the prompt has one, which only
the service knows."""

_CONTEXTS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("prompt", dict),
    ("previous_response_id", str),
    ("conversation", (str, dict)),
)
"""Members that stand for an input that is stored at the service, so that `input` may be absent."""

_MESSAGE = frozenset({"type", "role", "content", "id", "status"})
"""The members of an ordinary message."""

_RESULT = frozenset({"type", "call_id", "output", "id", "status"})
"""The members of an ordinary result of a tool."""

_MINIMUMS = {
    "max_output_tokens": 16,  # the service: "Expected a value >= 16, but got 10 instead."
    "max_tool_calls": 1,
    "top_logprobs": 0,
}


def decode(request: Request, values: Values) -> Prompt:
    """Decode a request into a prompt.

    Raises:
        RequestError: 400, naming the member that is missing or has a wrong type.
    """
    return read(request_body.read_members(request.body, values))


def read(members: dict[str, Any], prepared: compared_messages.Prepared | None = None) -> Prompt:
    """Read the decoded body of a request into a prompt, as `decode` does. What is `prepared` is not
    done again."""
    model = _read_model(members)
    if members.get("input") is None and any(isinstance(members.get(n), k) for n, k in _CONTEXTS):
        members["input"] = []
    value = request_body.read_input(members)
    items = items_of(value)
    if prepared is None:
        _check_items(items)
    else:
        prepared.check()
    request_body.check_minimums(members, _MINIMUMS)
    last_messages = tuple(_messages(value, items, prepared))
    return Prompt(NAME, model, last_messages, _read_options(members), members, READERS)


def prepare(members: Mapping[str, Any]) -> compared_messages.Preparing:
    """Do what takes long in `read`, with pauses."""
    items = members.get("input")
    yield from request_body.check_in_slices("input", items, _check_items, is_message)
    return (yield from compared_messages.last_in_pieces(items, _message_in_pieces))


def compile_match(value: str | list[Any], contains: bool) -> Predicate:
    """Compile a mock's `input` to a predicate.

    Raises:
        ValueError: an entry is not an item.
    """
    if contains and isinstance(value, str):
        return MessageContains(value)
    items = items_of(value)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError(f"{index}: expected an object, found {jsontext.json_type(item)}")
        if item.get("type") is None and not _is_reference(item) and item.get("role") not in ROLES:
            found = jsontext.describe(item["role"]) if "role" in item else "nothing"
            raise ValueError(f"{index}.role: expected one of {', '.join(ROLES)}, found {found}")
    if contains and any(map(_lacks_content, items)):
        return ItemsEndLike(tuple(map(_compile_item, items)))
    texts = tuple(_texts(items[-1])) if items else ()
    call_id = call_id_of(items[-1]) if items and is_result(items[-1]) else ""
    named_calls = (call_id,) if call_id else ()
    ends = ItemsEndWith.of(items, canonical, texts, named_calls=named_calls)
    if contains:
        return ends
    relaxed = _relax(value, ends)
    return ItemsEqual(ends.size, ends.key, texts, relaxed=relaxed, named_calls=named_calls)


def _relax(value: str | list[Any], ends: ItemsEndWith) -> Relaxed:
    """Return the condition of an input with ``contains``. A list of one text is not searched for,
    but the text is."""
    if isinstance(value, str):
        return Relaxed(MessageContains(value))
    text = contents.only_text(value[0].get("content")) if len(value) == 1 else None
    if not text or not is_message(value[0]):
        return Relaxed(ends)
    quoted = jsontext.dumps(text).decode() if len(text) <= MAX_QUOTE else "..."
    return Relaxed(MessageContains(text), f'write "match_type": "contains", "input": {quoted}')


def canonical(item: dict[str, Any]) -> bytes:
    """Equal bytes for two items if and only if they mean the same."""
    return jsontext.canonical(_normalise(item))


def _normalise(item: dict[str, Any]) -> Any:
    if is_message(item):
        compared = {"type": "message", **normalise.known_members(item, ("role", "content"))}
        if "content" in compared:
            compared["content"] = normalise.content(compared["content"], _part)
        return compared
    if _is_reference(item):
        item = {**item, "type": "item_reference"}
    compared = normalise.known_part(item, _known_members())
    if compared.get("type") not in _REFERENCES:
        compared.pop("id", None)
        compared.pop("status", None)
    if "arguments" in compared:
        compared["arguments"] = normalise.arguments(compared["arguments"])
    for name in ("output", "content"):
        if name in compared:
            compared[name] = normalise.content(compared[name], _part)
    return compared


_SIZES = normalise.sizes_of(_normalise)


def _lacks_content(item: dict[str, Any]) -> bool:
    """True for an item of a mock that names a call or a role only: it means any such item."""
    if is_message(item):
        return item.get("content") is None
    return is_result(item) and item.get("output") is None


def _compile_item(item: dict[str, Any]) -> bytes | Part:
    if not _lacks_content(item):
        return b"%b" % canonical(item)
    (part,) = _parts(item)
    return message_matches.compile_part(part, text_names(MEMBERS))


def _parts(item: dict[str, Any]) -> Iterator[MessagePart]:
    """An item, which is a part of the conversation, as a part."""
    yield MessagePart(_normalise(item), call_id_of(item) if is_result(item) else "")


def _read_model(members: Mapping[str, Any]) -> str:
    if members.get("model") is None and isinstance(members.get("prompt"), dict):
        return DEFAULT_MODEL
    return request_body.read_model(members)


def _is_reference(item: Mapping[str, Any]) -> bool:
    """True if an item has no type and is a reference (openai 3.57.0: `ItemReference`)."""
    return item.get("type") is None and "role" not in item and isinstance(item.get("id"), str)


def _role(item: Mapping[str, Any]) -> str:
    role = item.get("role")
    return role if isinstance(role, str) else ""


def _check_items(items: list[Any], first: int = 0) -> None:
    for index, item in enumerate(items, first):
        _check_item(item, f"input.{index}")


def _check_item(item: Any, path: str) -> None:
    if not isinstance(item, dict):
        raise request_body.bad(path, "an object", item)
    if is_message(item):
        request_body.check_role(item, ROLES, path)
        request_body.check_content(item.get("content"), f"{path}.content")
    elif _is_reference(item):
        pass
    elif item.get("type") is None:
        raise request_body.missing(f"{path}.type")
    elif not isinstance(item["type"], str):
        raise request_body.bad(f"{path}.type", "a string", item["type"])


def _messages(
    value: str | list[Any], items: list[Any], prepared: compared_messages.Prepared | None
) -> Iterator[Message]:
    """The whole input with the texts of its last item, then the texts of the last item before
    trailing system notes. Rules search the compact JSON of an item too, so that a mock can match
    on a `call_id`."""
    if isinstance(value, str) or not items:
        texts: tuple[str, ...] = (value,) if isinstance(value, str) else ()
        # Without an input there is no text that a rule could look for, and an empty one is in any.
        content = value if isinstance(value, str) else ""
        yield Message("user", texts, texts or ("",), items, canonical, _parts, content)
        return
    for item, whole in ((items[-1], items), (compared_messages.turn_before(items, prepared), None)):
        if item is None:
            continue
        made = None if prepared is None else prepared.messages.get(id(item))
        if made is not None:
            yield replace(made, items=whole)
            continue
        texts = tuple(_texts(item))
        search_texts = (*read_item(item), jsontext.dumps(item).decode())
        sizes = None if prepared is None else _SIZES
        yield Message(_role(item), texts, search_texts, whole, canonical, _parts, sizes=sizes)


def _message_in_pieces(item: dict[str, Any]) -> Generator[None, None, Message | None]:
    """The message of an item without its `items`, with pauses; None if it is small."""
    long = {name: member for name, member in item.items() if contents.is_long(member)}
    texts: list[str] = []
    for name, read in _TEXTS.items():
        texts += yield from contents.read_in_slices(item.get(name), read)
    if not long and not json_encoding.takes_long(item):
        return None
    found = yield from contents.gather(read_item_in_pieces(item))
    found.append((yield from contents.write_in_pieces(item)))
    names = text_members(item, MEMBERS)
    compared = [long[name] for name in _compared(item, names) if name in long]
    content = max(compared or _compared_texts(item, texts), key=len, default="")
    return Message(_role(item), texts, found, None, canonical, _parts, content, _SIZES)


def _compared(item: Mapping[str, Any], names: Collection[str]) -> Collection[str]:
    """The members among `names`, which have texts, that are part of the canonical form."""
    if is_message(item):
        return ("content",)
    return () if _is_reference(item) else names


def _compared_texts(item: Mapping[str, Any], texts: Sequence[str]) -> Sequence[str]:
    """Those of the `texts` of an item that are part of the canonical form, as far as that is easily
    seen."""
    if is_message(item):
        is_ordinary = _MESSAGE.issuperset(item)
    else:
        is_ordinary = _RESULT.issuperset(item) and "output" in text_members(item, MEMBERS)
    return texts if is_ordinary else ()


def _texts(item: dict[str, Any]) -> Iterator[str]:
    """The texts of an item."""
    for name, read in _TEXTS.items():
        yield from read(item.get(name))


def _only_string(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value


def _summary_texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


_TEXTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "content": contents.texts,
    "output": contents.texts,
    "name": _only_string,
    "arguments": _only_string,
    "summary": _summary_texts,
}
"""The members of an item with texts, in order, and how they are read."""


def _read_options(members: Mapping[str, Any]) -> ResponseOptions:
    stream = request_body.read_flag(members, "stream")
    options = request_body.read_object_member(members, "stream_options")
    padding = request_body.read_flag(
        options, "include_obfuscation", "stream_options.include_obfuscation"
    )
    return (
        ResponseOptions(stream=True, include_obfuscation=padding is not False)
        if stream
        else ResponseOptions()
    )


def _part(part: Any) -> Any:
    return normalise.known_part(part, _known_members())


@cache
def _known_members() -> normalise.KnownMembers:
    from mockllm.providers.openai.responses import sdk  # only where items are compared whole

    return sdk.known_members()
