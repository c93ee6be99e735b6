"""Which of many texts are in a text.

Each on its own would be looked for with `in`; an Aho–Corasick automaton (pyahocorasick) looks for
all at once: 0.5 µs for a short text, be there 20 needles or 100,000.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from operator import itemgetter

import ahocorasick

FEW = 8  # needles; so many are looked for one by one in the same time
LETTERS_PER_MATCH = 160  # of a text: `in` goes through them while one match is told (50 ns)

_PLACE = itemgetter(1)  # of a match


class SubstringIndex:
    """The texts to look for, each different, known by their place in `texts`."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._automaton = None
        if len(self._texts) > FEW:
            self._automaton = ahocorasick.Automaton()
            for place, text in enumerate(self._texts):
                if text:  # the automaton does not know the empty text, which is in every text
                    self._automaton.add_word(text, place)
            self._automaton.make_automaton()
            self._always = {self._texts.index("")} if "" in self._texts else set()

    def matches(self, text: str) -> Collection[int]:
        """The places of the needles that `text` contains, in no order."""
        if self._automaton is None:
            return self._one_by_one(text)
        found = set(self._always)
        matches = self._automaton.iter(text)
        found.update(map(_PLACE, islice(matches, self._worthwhile(text))))
        return found if next(matches, None) is None else self._one_by_one(text)

    def _worthwhile(self, text: str) -> int:
        """Matches beyond which looking for the needles one by one is faster: it never takes longer
        than to go through the text for each ("a", "aa", "aaa", ... in "aaaa…" match everywhere)."""
        return len(self._texts) * (1 + len(text) // LETTERS_PER_MATCH)

    def _one_by_one(self, text: str) -> Collection[int]:
        return [place for place, needle in enumerate(self._texts) if needle in text]
