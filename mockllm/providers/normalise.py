"""Normalises messages for comparison, by rules that all APIs share.

Two messages are equal if they are the same JSON after normalisation. It removes members that the
API does not declare, null members and `cache_control`, replaces a list of one text part by its
text, and parses arguments that are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

from mockllm.limits import KIB
from mockllm.matching.effort import Effort
from mockllm.matching.parts import PER_PART
from mockllm.prompt.message import ItemSizes
from mockllm.providers.contents import only_text
from mockllm.wire import json_encoding, jsontext

Members = Mapping[str, Any]
KnownMembers = Mapping[str, Collection[str]]
"""For each `type` of part, block or item, the members that the API declares."""
IGNORED = frozenset({"cache_control"})
MAX_ARGUMENTS = 128 * KIB  # characters of arguments that are compared as JSON: 2 ms
MAX_VALUES = 2_000  # of a message that is compared in detail
_LISTS = ("content", "output", "tool_calls")  # whose entries are normalised one by one
MAX_FREED = 20  # normalised parts within a part, which are let go of at once
_KIND = ("type", "role", "id", "tool_use_id")  # members by which others are normalised
ENTRIES_AT_ONCE = 100  # of a list, that are normalised and encoded without a pause: 0.5 ms
_Made = list[Any] | None


def known_members(value: Members, names: Collection[str] | None) -> dict[str, Any]:
    """The members in `names` (None: all members) that are neither null nor ignored."""
    return {
        name: member
        for name, member in value.items()
        if member is not None and name not in IGNORED and (names is None or name in names)
    }


def known_part(value: Any, known: KnownMembers) -> Any:
    """Reduce a part, block or item to the members that its type declares. An unknown type keeps all
    members."""
    if not isinstance(value, dict):
        return value
    return known_members(value, known.get(value.get("type", "")) if _is_tagged(value) else None)


def content(value: Any, part: Callable[[Any], Any]) -> Any:
    """Normalise a content: to its text if it is a string or one text part, else to its parts, each
    normalised by `part`."""
    if not isinstance(value, list):
        return value
    text = only_text(value)
    return [part(entry) for entry in value] if text is None else text


def arguments(value: Any) -> Any:
    """The value of a call's arguments if they are JSON, wrapped so that no other text equals it;
    else, and if they have more than `MAX_ARGUMENTS` characters, the arguments unchanged."""
    if not isinstance(value, str) or len(value) > MAX_ARGUMENTS:
        return value
    try:
        return {"json": jsontext.loads(value.encode("utf-8", "replace"))}
    except ValueError:
        return value


def sizes_of(normalise: Callable[[dict[str, Any]], Any]) -> ItemSizes:
    """Return the functions that tell how large an item is. `normalise` returns what its canonical
    form is made of."""

    def is_long(entries: Any, size: int) -> bool:
        if not isinstance(entries, list):
            return False
        return 2 * len(entries) > size or any(
            isinstance(each, dict)
            and each.get("type") == "tool_result"
            and is_long(each.get("content"), size)
            for each in entries
        )

    def is_longer(item: dict[str, Any], size: int) -> bool:
        long = {name: [None] for name in _LISTS if is_long(item.get(name), size)}
        compared = normalise(item | long)
        return any(name in compared for name in long) or jsontext.is_longer(compared, size)

    def has_many(items: Sequence[dict[str, Any]]) -> bool:
        return jsontext.has_many_values(items, MAX_VALUES)

    def without_lists(item: dict[str, Any]) -> dict[str, Any]:
        return item | {name: [] for name in _LISTS if isinstance(item.get(name), list)}

    def in_pieces(item: dict[str, Any]) -> Iterator[bytes]:
        return _canonical_in_pieces(item, normalise)

    return ItemSizes(is_longer, has_many, without_lists, in_pieces)


def _canonical_in_pieces(value: Any, normalise: Callable[[Any], Any]) -> Iterator[bytes]:
    """Yield the canonical form of a value of which `normalise` returns what it is made of. The
    entries of its lists are normalised a few at a time."""
    if not json_encoding.takes_long(value):
        yield jsontext.canonical(normalise(value))
        return
    if not isinstance(value, dict):
        yield from json_encoding.canonical_in_pieces(normalise(value))
        return
    lists = [name for name in _LISTS if _has_entries(value.get(name))]
    compared = normalise(value | {name: [None] for name in lists})
    before = b"{"
    for name in sorted(compared):
        yield before + jsontext.canonical(name) + b":"
        before = b","
        if name in lists:
            yield from _entries_in_pieces(value, name, normalise)
        else:
            yield from json_encoding.canonical_in_pieces(compared[name])
    yield b"}" if compared else b"{}"


def _has_entries(value: Any) -> bool:
    """Return True for a list whose entries are normalised one by one."""
    return isinstance(value, list) and bool(value) and only_text(value) is None


def _entries_in_pieces(
    value: dict[str, Any], name: str, normalise: Callable[[Any], Any]
) -> Iterator[bytes]:
    """Yield the canonical form of a list of `value`, a part of which is normalised with what tells
    the kind of the whole."""
    kind = {member: value[member] for member in _KIND if member in value}

    def normalise_some(entries: list[Any]) -> list[Any]:
        normalised: list[Any] = normalise(kind | {name: [None, *entries]})[name][1:]
        return normalised

    before, small = b"[", list[Any]()
    for number, entry in enumerate(value[name], 1):
        is_large = json_encoding.takes_long(entry)
        if not is_large:
            small.append(entry)
        if small and (is_large or len(small) == ENTRIES_AT_ONCE or number == len(value[name])):
            yield before + jsontext.canonical(normalise_some(small))[1:-1]
            before, small = b",", []
        if is_large:
            yield before
            before = b","
            yield from _canonical_in_pieces(entry, lambda one: normalise_some([one])[0])
    yield b"]"


def spread_lazily(value: Any, part: Callable[[Any], Any]) -> Iterator[Any]:
    """What `spread` returns, one part after the other."""
    return map(part, value) if isinstance(value, list) else iter(spread(value))


def spread_in_pieces(
    value: Any, part: Callable[[Any, Effort], Generator[_Made, None, Any]], effort: Effort
) -> Generator[_Made, None, list[Any]]:
    """Return a list of parts, each normalised by `part`, with pauses (`Message.parts_of`)."""
    parts = []
    for each in value:
        parts.append((yield from part(each, effort)))
        if effort.is_much(PER_PART):
            yield None
    if len(parts) > MAX_FREED:
        yield parts
    return parts


def spread(value: Any, part: Callable[[Any], Any] = lambda part: part) -> list[Any]:
    """A content as a list of parts, each normalised by `part`: a string is one text part, unless it
    is empty."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    return [part(each) for each in value] if isinstance(value, list) else []


def _is_tagged(value: Members) -> bool:
    return isinstance(value.get("type"), str)
