"""Answers with very many parts, which are completed in pieces before they are rendered.

What completes an answer at once takes what was completed before as it is: a list of parts with the
tokens that were counted in it, or the whole answer. So there is one place where an API says what is
filled in, and completing an answer in pieces gives the same.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from mockllm.wire.json_encoding import takes_long

MAX_PARTS = 250  # of one list that is completed at once: 3 ms


class CompletedParts(list[Any]):
    """Parts of an answer, each completed. `said` are the estimated tokens of what the model says in
    them, `thought` those of its reasoning."""

    __slots__ = ("said", "thought")

    def __init__(self, parts: list[Any], said: int, thought: int = 0) -> None:
        super().__init__(parts)
        self.said = said
        self.thought = thought


class CompletedResponse(dict[str, Any]):
    """An answer that is complete."""

    __slots__ = ()


_LISTS = ("choices", "tool_calls", "output", "content", "summary")
"""The members of an answer, and of its parts, that are lists of parts."""


def is_large(response: Any) -> bool:
    """True of an answer that takes long to complete or to encode."""
    return _count_parts(response) > MAX_PARTS or takes_long(response)


def _count_parts(value: Any) -> int:
    """The number of parts in an answer or in one of its parts; about that if it is large."""
    if not isinstance(value, dict):
        return 0
    number = _count_parts(value.get("message"))
    for name in _LISTS:
        parts = value.get(name)
        if isinstance(parts, list):
            number += len(parts)
            if number > MAX_PARTS:
                break
            number += sum(map(_count_parts, parts))
    return number


def long_lists(value: Any) -> list[list[Any]]:
    """The lists of very many parts in an answer, or in one of its parts."""
    if not isinstance(value, dict):
        return []
    found = long_lists(value.get("message"))
    for name in _LISTS:
        parts = value.get(name)
        if not isinstance(parts, list):
            continue
        if is_long(parts):
            found.append(parts)
        else:
            found += chain.from_iterable(map(long_lists, parts))
    return found


def is_long(parts: Any) -> bool:
    """True of parts that are completed in pieces."""
    return isinstance(parts, (list, tuple)) and len(parts) > MAX_PARTS
