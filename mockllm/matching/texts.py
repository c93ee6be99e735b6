"""Compares and quotes texts for explanations."""

from __future__ import annotations

from collections.abc import Callable

MAX_QUOTE = 60  # characters of a text shown in a reason
MAX_START_SEARCH = 10_000  # characters of a text that is searched for the start of another


def quote(text: str, longest: int = MAX_QUOTE) -> str:
    """Return `text` in quotes, cut at `longest` characters; an ellipsis shows the cut."""
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def common_prefix(one: str, other: str, *, above: int = 0) -> int:
    """Return the length of the common prefix of two texts; 0 if it is not greater than `above`."""
    if one[: above + 1] != other[: above + 1]:
        return 0  # nearly always, of most rules
    most = min(len(one), len(other))
    if most <= above:
        return 0
    low, step = above + 1, above + 1  # the first `low` characters are the same
    while low + step <= most and one[low : low + step] == other[low : low + step]:
        low, step = low + step, 2 * step
    high = min(low + step, most)
    while low < high:  # what is known to be the same is not compared again
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def longest_start_within(needle: str, text: str, *, above: int = 0) -> int:
    """Return the length of the longest prefix of `needle` that occurs in the first
    `MAX_START_SEARCH` characters of `text`; 0 if it is not greater than `above`."""
    text = text[:MAX_START_SEARCH]
    return _longest(len(needle), lambda size: needle[:size] in text, above)


def _longest(most: int, holds: Callable[[int], bool], above: int) -> int:
    """Return the greatest size up to `most` for which `holds` is True, as for every smaller one; 0
    if it is not greater than `above`. The time depends on the result, not on `most`: doubling,
    then bisection."""
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
