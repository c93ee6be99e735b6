"""Normalises messages for comparison, by rules that all APIs share.

Two messages are equal if they are the same JSON after normalisation. It removes members that the
API does not declare, null members and `cache_control`, replaces a list of one text part by its
text, and parses arguments that are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import Any

from mockllm.limits import KIB
from mockllm.matching.effort import Effort
from mockllm.matching.parts import PER_PART
from mockllm.prompt.message import ItemSizes
from mockllm.providers.contents import only_text
from mockllm.wire import jsontext

Members = Mapping[str, Any]
KnownMembers = Mapping[str, Collection[str]]
"""For each `type` of part, block or item, the members that the API declares."""
IGNORED = frozenset({"cache_control"})
MAX_ARGUMENTS = 128 * KIB  # characters of arguments that are compared as JSON: 2 ms
MAX_VALUES = 2_000  # of a message that is compared in detail
_LISTS = ("content", "output", "tool_calls")  # whose entries are normalised one by one
MAX_FREED = 20  # normalised parts within a part, which are let go of at once
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

    def has_many(item: dict[str, Any]) -> bool:
        return jsontext.has_many_values(item, MAX_VALUES)

    def without_lists(item: dict[str, Any]) -> dict[str, Any]:
        return item | {name: [] for name in _LISTS if isinstance(item.get(name), list)}

    return ItemSizes(is_longer, has_many, without_lists)


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
