"""How far two texts agree, and how a text is quoted in a message for people."""

from __future__ import annotations

from collections.abc import Callable

MAX_QUOTE = 60  # characters of a text shown in a reason
MAX_SEARCHED = 10_000  # characters of a text that the start of another is looked for in


def quote(text: str, longest: int = MAX_QUOTE) -> str:
    """`text` in quotes, cut at `longest` characters; a cut is shown."""
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def common_prefix(one: str, other: str, *, above: int = 0) -> int:
    """The number of characters that both texts begin with; 0 if it is not `above` that number."""
    return _longest(len(one), lambda size: other.startswith(one[:size]), above)


def longest_start_within(needle: str, text: str, *, above: int = 0) -> int:
    """The number of characters at the start of `needle` that occur together in `text`, of which
    only the beginning is searched; 0 if it is not `above` that number."""
    text = text[:MAX_SEARCHED]
    return _longest(len(needle), lambda size: needle[:size] in text, above)


def _longest(most: int, holds: Callable[[int], bool], above: int) -> int:
    """The greatest size up to `most` that `holds`, as every smaller one does; 0 if it is not
    `above` that number. Takes time by the result, not by `most`: doubling, then halving."""
    low, high = 0, above + 1
    while high <= most and holds(high):
        low, high = high, 2 * high
    if not low:
        return 0
    high = min(high - 1, most)
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
