"""Divides matching into pieces, so that no request holds the loop for long.

To test one text takes a microsecond or a few milliseconds, but a request may have 20,000 texts and
a configuration a thousand expressions. So whatever tests texts adds up about how long that takes,
and pauses when it is much:

    >>> effort = Effort()
    >>> for text in texts:
    ...     found = test.passes(text)
    ...     if effort.is_much(test.effort(len(text))):
    ...         yield False

The results are those of the functions that do not pause, as property tests verify: what a condition
found in pieces is kept in `Prompt.verdicts`, where its `difference` looks first.
"""

from __future__ import annotations

from collections.abc import Iterable

from mockllm.pieces import Pieces

MAX_EFFORT = 1_500_000  # nanoseconds between two pauses, as estimated
PER_TEXT = 300  # nanoseconds to look at a text, whatever its length
PER_CHARACTER = 3  # nanoseconds to search a character for one text, if much of that occurs often

MAX_TEXT_AT_ONCE = 128 * 1024
"""Characters of a text that are searched, or folded, without a pause: 0.1 to 0.4 ms."""


class Effort:
    """The time that was spent since the last pause, in estimated nanoseconds."""

    __slots__ = ("_spent",)

    def __init__(self) -> None:
        self._spent = 0

    def is_much(self, nanoseconds: int) -> bool:
        """Add `nanoseconds`. Returns True if it is time for a pause, which is then to be made."""
        self._spent += nanoseconds
        if self._spent < MAX_EFFORT:
            return False
        self._spent = 0
        return True


def is_in_pieces(wanted: str, text: str, effort: Effort) -> Pieces[bool]:
    """Return True if `text` contains `wanted`, with pauses."""
    step, behind = max(MAX_TEXT_AT_ONCE, len(wanted)), max(len(wanted) - 1, 0)
    for start in range(0, max(len(text) - behind, 1), step):
        if text.find(wanted, start, start + step + behind) >= 0:
            return True
        if effort.is_much(PER_TEXT + PER_CHARACTER * min(len(text) - start, step)):
            yield False
    return False


def is_in_one(wanted: str, texts: Iterable[str], effort: Effort) -> Pieces[bool]:
    """Return True if one of `texts` contains `wanted`, with pauses."""
    for text in texts:
        if len(text) > MAX_TEXT_AT_ONCE:
            if (yield from is_in_pieces(wanted, text, effort)):
                return True
            continue
        found = wanted in text
        if effort.is_much(PER_TEXT + PER_CHARACTER * len(text)):
            yield False
        if found:
            return True
    return False
