"""Searches a text for many others (the needles) at once.

`in` searches for one needle at a time; an Aho–Corasick automaton (pyahocorasick) searches for all
at once, in 0.5 µs for a short text, whether there are 20 needles or 100,000.

An automaton takes about 46 bytes for each character of its needles. If they are long, it contains
only the beginning of each, and `in` searches for the rest where a beginning was found.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter

import ahocorasick

from mockllm.matching.effort import MAX_EFFORT, PER_TEXT, Effort, is_in_one
from mockllm.pieces import Pieces

MAX_WITHOUT_AUTOMATON = 8  # needles; `in` finds that many in the same time
CHARACTERS_PER_MATCH = 160  # that `in` searches while the automaton reports one match (50 ns)
MAX_AT_ONCE = 65_536  # characters that the automaton searches without a pause
PER_DEPTH = 2  # nanoseconds
"""For each character, the automaton looks at all ends of the longest needle that has begun: 300 in
a text of 1,000,000 times "a", if that is the length of a needle of which each is the letter "a"."""
PER_MATCH = 100  # nanoseconds that the automaton takes to report one
MAX_INDEXED = 4_000_000  # characters in an automaton: 180 MB, built in half a second

_NUMBER = itemgetter(1)  # of the needle of a match


class SubstringIndex:
    """An index of distinct needles, each identified by its position in `texts`. The automaton has
    about `max_indexed` of their characters at most."""

    def __init__(self, texts: Sequence[str], *, max_indexed: int = MAX_INDEXED) -> None:
        self._texts = tuple(texts)
        self._automaton = None
        self._begun: tuple[list[int], ...] | None = None
        """The needles with each beginning in the automaton; None if it has whole needles."""
        self._size = 0  # characters of a beginning
        self._longest = max(1, max(map(len, self._texts), default=0))
        self._at_once = min(MAX_AT_ONCE, max(1, MAX_EFFORT // (PER_DEPTH * self._longest)))
        if len(self._texts) > MAX_WITHOUT_AUTOMATON:
            words: Iterable[str] = self._texts
            if sum(map(len, words)) > max_indexed:
                self._size = max(1, max_indexed // len(self._texts))
                beginnings = _by_beginning(self._texts, self._size)
                words, self._begun = beginnings.keys(), tuple(beginnings.values())
            self._automaton = _automaton(words)
            self._always = {self._texts.index("")} if "" in self._texts else set()

    def matches(self, text: str) -> Collection[int]:
        """Return the positions of the needles that `text` contains, in any order."""
        if self._automaton is None:
            return self._one_by_one(text)
        found = set() if self._begun else set(self._always)
        matches = self._automaton.iter(text)
        found.update(map(_NUMBER, islice(matches, self._max_matches(text))))
        if next(matches, None) is not None:
            return self._one_by_one(text)
        return found if self._begun is None else self._always.union(self._complete(found, text))

    def matches_in_pieces(self, text: str, effort: Effort) -> Pieces[Collection[int]]:
        """Return what `matches` returns, with pauses."""
        every = range(len(self._texts))
        if self._automaton is None:
            return (yield from self._pieces_one_by_one(text, every, effort))
        found = set() if self._begun else set(self._always)
        left, size = self._max_matches(text), self._at_once
        overlap = self._longest - 1 if _may_be_wide(text) and len(text) > size else 0
        if 2 * overlap > size:
            return (yield from self._pieces_one_by_one(text, every, effort))
        matches = self._automaton.iter(text[:size])
        for start in range(0, max(1, len(text) - overlap), size - overlap):
            if start and overlap:
                matches = self._automaton.iter(text[start : start + size])
            elif start:
                matches.set(text[start : start + size], False)  # goes on in the same state
            for _, number in matches:
                found.add(number)
                left -= 1
                if left < 0:
                    return (yield from self._pieces_one_by_one(text, every, effort))
                if effort.is_much(PER_MATCH):
                    yield False
            if effort.is_much(PER_TEXT + min(len(text), size) * MAX_EFFORT // self._at_once):
                yield False
        if self._begun is None:
            return found
        begun = [number for place in found for number in self._begun[place]]
        return self._always.union((yield from self._pieces_one_by_one(text, begun, effort)))

    def _pieces_one_by_one(
        self, text: str, numbers: Iterable[int], effort: Effort
    ) -> Pieces[Collection[int]]:
        """Return those of the needles that `text` contains, with pauses."""
        found: list[int] = []
        for number in numbers:
            if (yield from is_in_one(self._texts[number], (text,), effort)):
                found.append(number)  # noqa: PERF401  # there are pauses
        return found

    def some_matches(self, text: str, count: int) -> set[int]:
        """Return the positions of needles that `text` contains. Some may be missing if more than
        `count` have to be looked at, so that the time depends on the length of `text` only."""
        if self._automaton is None:
            return set(self._one_by_one(text))
        matches = islice(self._automaton.iter(text), count)
        if self._begun is None:
            return self._always.union(map(_NUMBER, matches))
        return self._always.union(self._some_begun(matches, text, count))

    def _complete(self, found: Iterable[int], text: str) -> Iterator[int]:
        """Yield the needles with a beginning in `found` that `text` contains."""
        assert self._begun is not None
        begun = (number for place in found for number in self._begun[place])
        return (number for number in begun if self._texts[number] in text)

    def _some_begun(
        self, matches: Iterable[tuple[int, int]], text: str, count: int
    ) -> Iterator[int]:
        """Yield needles that `text` contains where a beginning was found. At most `count` are
        looked at, each in one place: to search the whole text for needles that differ only in the
        end took eight seconds for 5,000 of 1.5 kB."""
        assert self._begun is not None
        begun = (
            (number, end + 1 - min(self._size, len(self._texts[number])))
            for end, place in matches
            for number in self._begun[place]
        )
        for number, start in islice(begun, count):
            if text.startswith(self._texts[number], start):
                yield number

    def _max_matches(self, text: str) -> int:
        """Return the number of matches beyond which `in`, one needle at a time, is faster. It
        bounds the time of a search for "a", "aa", "aaa", ... in "aaaa…", where all match at once.
        """
        return len(self._texts) * (1 + len(text) // CHARACTERS_PER_MATCH)

    def _one_by_one(self, text: str) -> Collection[int]:
        return [number for number, needle in enumerate(self._texts) if needle in text]


def _may_be_wide(text: str) -> bool:
    """False only if no character of `text` is beyond U+FFFF.

    A search must not go on from a part with such a character to one without or back: pyahocorasick
    2.3 borrows the memory of the one and copies the other, but its iterator remembers from its
    first part which of the two it is to free. Where it is not known, parts overlap instead.
    """
    return not text.isascii() and sys.getsizeof(text) >= 4 * len(text)


def _by_beginning(texts: Sequence[str], size: int) -> dict[str, list[int]]:
    """The positions of `texts` by their first `size` characters."""
    beginnings: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        beginnings.setdefault(text[:size], []).append(number)
    return beginnings


def _automaton(words: Iterable[str]) -> ahocorasick.Automaton:
    """An automaton that finds the positions of `words`."""
    automaton = ahocorasick.Automaton()
    for number, word in enumerate(words):
        if word:  # the automaton rejects the empty text, which every text contains
            automaton.add_word(word, number)
    automaton.make_automaton()
    return automaton
