"""Parts of a mock's message that are no plain texts: images, documents, results of tool calls.

A part is contained in one of a request's message if that has all of its members: texts that contain
its texts, and other values that are equal. So a result that names only its call means any result of
that call:

    >>> is_within({"type": "tool_result", "tool_use_id": "t"}, found)
    True
    >>> is_within({"type": "tool_result", "content": [{"type": "text", "text": Text("15")}]}, found)
    True

where `found` is ``{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text":
"15 degrees"}]}``. APIs normalise both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mockllm.matching.effort import MAX_TEXT_AT_ONCE, Effort, is_in_pieces
from mockllm.matching.texts import quote
from mockllm.pieces import Pieces

PER_PART = 2_000  # nanoseconds to normalise or compare a part

TextNames = Callable[[dict[str, Any]], Collection[str]]
"""Returns the names of the members of an object that are texts."""


class Text(str):
    """A text of a mock that the request's must contain; any other string must be equal."""

    __slots__ = ()


def is_within(wanted: Any, found: Any) -> bool:
    """Return True if `found` contains `wanted`: an object with its members, a list with elements
    that contain its elements, a text with its text, an equal value."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and is_within(wanted[name], found[name]) for name in wanted
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and all(
            any(is_within(each, other) for other in found) for each in wanted
        )
    if isinstance(wanted, Text):
        return isinstance(found, str) and wanted in found
    return is_same(wanted, found)


def is_within_one(wanted: Any, found: Iterable[Any], effort: Effort) -> Pieces[bool]:
    """Return True if one of `found` contains `wanted` (`is_within`), with pauses. What has neither
    a list nor a long text to be searched is compared at once."""
    has_list = _has_list(wanted)
    for other in found:
        if effort.is_much(PER_PART):
            yield False
        if has_list or _has_long_text(other):
            if (yield from _is_within_in_pieces(wanted, other, effort)):
                return True
        elif is_within(wanted, other):
            return True
    return False


def _is_within_in_pieces(wanted: Any, found: Any, effort: Effort) -> Pieces[bool]:
    """Do what `is_within` does, with pauses."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, member in wanted.items():
            if name not in found:
                return False
            if not (yield from _is_within_in_pieces(member, found[name], effort)):
                return False
        return True
    if isinstance(wanted, list) and isinstance(found, list):
        for each in wanted:
            if not (yield from is_within_one(each, found, effort)):
                return False
        return True
    if isinstance(wanted, Text) and isinstance(found, str):
        return (yield from is_in_pieces(wanted, found, effort))
    return is_within(wanted, found)


def _has_list(wanted: Any) -> bool:
    """Return True if there is a list in `wanted`."""
    if isinstance(wanted, dict):
        return any(map(_has_list, wanted.values()))
    return isinstance(wanted, list)


def _has_long_text(found: Any) -> bool:
    """Return True if `found` is a long text, or one of its members is."""
    if isinstance(found, dict):
        return any(map(_has_long_text, found.values()))
    return isinstance(found, str) and len(found) > MAX_TEXT_AT_ONCE


def is_same(one: Any, other: Any) -> bool:
    """Return True if two values are equal in JSON, where true does not equal 1."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


@dataclass(frozen=True, slots=True)
class Part:
    """A part to be found. `key` is its canonical form, by which parts are compared, and `call_id`
    that of the call whose result it is; empty if it is none or names no call."""

    key: bytes
    wanted: Any = field(compare=False, repr=False)
    call_id: str = ""

    @property
    def texts(self) -> Iterator[str]:
        """The texts that a message with this part contains."""
        return _texts(self.wanted)

    def describe(self) -> str:
        """Return the part in a few words, for explanations."""
        if not self.call_id:
            return f"part like {quote(self.key.decode())}"
        texts = " and ".join(quote(text) for text in self.texts)
        containing = f" that contains {texts}" if texts else ""
        return f"result of call {quote(self.call_id)}{containing}"


def mark_texts(value: Any, text_names: TextNames) -> Any:
    """Return a copy of a part in which each text is a `Text`. What is null or empty is left out,
    since anything contains it."""
    if not isinstance(value, dict):
        return value
    names = text_names(value)
    members = {
        name: _mark_member(member, text_names, is_text=name in names)
        for name, member in value.items()
    }
    return {name: member for name, member in members.items() if member not in (None, "", [], {})}


def _mark_member(value: Any, text_names: TextNames, *, is_text: bool) -> Any:
    if isinstance(value, str):
        return Text(value) if is_text else value
    if isinstance(value, list):
        marked = [_mark_member(each, text_names, is_text=is_text) for each in value]
        return [each for each in marked if each not in (None, "", {})]
    return mark_texts(value, text_names)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
