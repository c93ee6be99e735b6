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

from mockllm.matching.texts import common_prefix
from mockllm.pieces import Pieces

MAX_EFFORT = 1_500_000  # nanoseconds between two pauses, as estimated
PER_TEXT = 300  # nanoseconds to look at a text, whatever its length
PER_CHARACTER = 3  # nanoseconds to search a character for one text, if much of that occurs often

COMPARED_AT_ONCE = 4  # characters of two texts that are compared in a nanosecond

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
    if len(wanted) > MAX_TEXT_AT_ONCE:
        return (yield from LongSearch(wanted, text, effort).is_found())
    return (yield from _find(wanted, text, 0, effort)) >= 0


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


def _find(wanted: str, text: str, start: int, effort: Effort) -> Pieces[int]:
    """Return where `wanted` first is in `text`, not before `start`, with pauses; -1 if nowhere."""
    step, behind = max(MAX_TEXT_AT_ONCE, len(wanted)), max(len(wanted) - 1, 0)
    for place in range(start, max(len(text) - behind, start + 1), step):
        found = text.find(wanted, place, place + step + behind)
        if found >= 0:
            return found
        if effort.is_much(PER_TEXT + PER_CHARACTER * min(len(text) - place, step)):
            yield False
    return -1


class LongSearch:
    """A search for a text that is too long for `str.find`, which prepares it first: 16 ms for 5 MB.

    Its beginning, a block, is searched for, and what follows is compared. Where two blocks are
    closer to each other than half of one, the text has a period between them: it is compared with
    itself as far as that goes, and `wanted` can only be where its own period ends with the text's.
    So there are few comparisons with all of `wanted`: one for each half of a block in the text.
    """

    def __init__(
        self, wanted: str, text: str, effort: Effort, block: int = MAX_TEXT_AT_ONCE // 2
    ) -> None:
        self._wanted = wanted
        self._text = text
        self._effort = effort
        self._block = wanted[:block]
        self._near = block // 2

    def is_found(self) -> Pieces[bool]:
        """Return True if `wanted` is found, with pauses."""
        wanted, text, block = self._wanted, self._text, self._block
        last, own = len(text) - len(wanted), -1
        at = (yield from self._next(0)) if last >= 0 else -1
        while 0 <= at <= last:
            after = yield from self._next(at + 1)
            period = after - at
            if after < 0 or period > self._near:
                if (yield from self._is_at(at)):
                    return True
                at = after
                continue
            end = after + (yield from self.common(text, at, text, after))
            if own < 0:  # the period is the same everywhere
                own = period + (yield from self.common(wanted, 0, wanted, period))
            place = end - own
            if own == len(wanted):
                if place >= at:
                    return True
            elif (
                at <= place <= last
                and not (place - at) % period
                and (yield from self._is_at(place))
            ):
                return True
            at = yield from self._next(max(end - len(block), at) + 1)
        return False

    def _next(self, start: int) -> Pieces[int]:
        return (yield from _find(self._block, self._text, start, self._effort))

    def _is_at(self, place: int) -> Pieces[bool]:
        common = yield from self.common(self._wanted, 0, self._text, place)
        return common == len(self._wanted)

    def common(self, one: str, start: int, other: str, place: int) -> Pieces[int]:
        """Return how many characters two texts have in common from these places on."""
        most = min(len(one) - start, len(other) - place)
        step = len(self._block)
        for at in range(0, most, step):
            here = one[start + at : start + min(at + step, most)]
            there = other[place + at : place + min(at + step, most)]
            if here != there:
                return at + common_prefix(here, there)
            if self._effort.is_much(PER_TEXT + step // COMPARED_AT_ONCE):
                yield False
        return most
