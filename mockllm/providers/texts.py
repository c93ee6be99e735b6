"""Reads all texts of a message: what ``contains`` searches.

A table of each API names the members that hold text, for each `type` of part, block or item. What
identifies something is not a text: ids, URLs, versions, encrypted or encoded contents.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mockllm.wire import json_encoding, jsontext

TextMembers = Mapping[str, tuple[str, ...]]
"""The members with text by the `type` of their object. ``""`` is an object without a type, and
`OTHER` one of any other type."""

OTHER = "*"
MAX_LEVELS = 10  # objects inside each other; in the types of the SDKs there are at most 5
ENTRIES_AT_ONCE = 1_000  # of a list that are read without a pause: 1 ms
AS_JSON = frozenset({"input", "arguments"})
"""Members of a call that may be objects, whose text is their compact JSON."""


def read_texts(value: Any, members: TextMembers, levels: int = MAX_LEVELS) -> Iterator[str]:
    """The texts in a string, an object or a list of them, in the order of the table's members.

    >>> list(read_texts([{"type": "text", "text": "a"}, "b"], {"text": ("text",)}))
    ['a', 'b']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            if not isinstance(entry, list):
                yield from read_texts(entry, members, levels)
    elif isinstance(value, dict) and levels:
        kind = value.get("type") or ""
        names = members.get(kind) if isinstance(kind, str) else None
        for name in members[OTHER] if names is None else names:
            member = value.get(name)
            if name in AS_JSON and isinstance(member, dict):
                yield jsontext.dumps(member).decode()
            elif member is not None:
                yield from read_texts(member, members, levels - 1)


def read_texts_in_pieces(
    value: Any, members: TextMembers, levels: int = MAX_LEVELS
) -> Iterator[str | None]:
    """What `read_texts` finds, and None for each pause."""
    if isinstance(value, list):
        for number, entry in enumerate(value, 1):
            if not isinstance(entry, list):
                yield from read_texts_in_pieces(entry, members, levels)
            if not number % ENTRIES_AT_ONCE:
                yield None
    elif isinstance(value, dict) and levels:
        for name in text_members(value, members):
            member = value.get(name)
            if name not in AS_JSON or not isinstance(member, dict):
                yield from read_texts_in_pieces(member, members, levels - 1)
            elif json_encoding.takes_long(member):
                pieces: list[str] = []
                for piece in json_encoding.dumps_in_pieces(member):
                    pieces.append(piece.decode())
                    yield None
                yield "".join(pieces)
            else:
                yield jsontext.dumps(member).decode()
    elif isinstance(value, str):
        yield value


def text_members(value: Mapping[str, Any], members: TextMembers) -> tuple[str, ...]:
    """The names of the members of an object that hold texts."""
    kind = value.get("type") or ""
    found = members.get(kind) if isinstance(kind, str) else None
    return members[OTHER] if found is None else found


def text_names(members: TextMembers) -> Callable[[dict[str, Any]], Collection[str]]:
    """The names of the members of an object that hold texts, as a function of the object. Members
    that `AS_JSON` names hold values of any kind."""

    def names(value: dict[str, Any]) -> Collection[str]:
        return [name for name in text_members(value, members) if name not in AS_JSON]

    return names
