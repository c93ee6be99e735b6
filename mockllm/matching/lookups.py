"""Look-ups: how an index finds the keys that hold for a request, without comparing each.

A look-up finds all keys of a family (`matching.families`) that hold at once: in a dictionary, an
automaton or a set of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from mockllm.matching.body_values import Canonical, is_longer
from mockllm.matching.effort import MAX_TEXT_AT_ONCE, Effort
from mockllm.matching.json_path import Path
from mockllm.matching.predicate import Headers
from mockllm.matching.readings import Folded
from mockllm.matching.substrings import SubstringIndex
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

MAX_SHORT = 256  # characters of a text that is looked at in one piece
PER_SHORT = 2_000  # nanoseconds to look up such a text
PER_VALUE = 200  # nanoseconds to look up a value
ENDS = 32  # characters of a long text, from its beginning, middle and end, by which it is found

_FIRST = (0,)


@dataclass(frozen=True, slots=True)
class BodyValues:
    """Reads the values that a path selects, in their canonical form, but for those of which that
    has certainly more than `longest` bytes."""

    path: Path
    canonical: Canonical
    longest: int = 0

    def __call__(self, prompt: Prompt) -> Iterable[bytes]:
        values = self.path.select(prompt) or ()
        return [
            self.canonical.at_once(value) for value in values if not is_longer(value, self.longest)
        ]

    def in_pieces(self, prompt: Prompt, effort: Effort) -> Pieces[Iterable[bytes]]:
        """Return what a call returns, with pauses."""
        yield from self.path.prepare(prompt, effort)
        found: list[bytes] = []
        for value in self.path.select(prompt) or ():
            form = yield from self.canonical.up_to(self.longest, value)
            if form is not None:
                found.append(form)
            if effort.is_much(PER_VALUE):
                yield False
        return found


@dataclass(frozen=True, slots=True)
class BodyTexts:
    """Reads the texts that a path selects."""

    path: Path

    def __call__(self, prompt: Prompt) -> Iterable[str]:
        values = self.path.select(prompt) or ()
        return [value for value in values if isinstance(value, str)]


LookUp = Callable[[Prompt, Headers], Iterable[int]]
"""Returns the positions of the keys that hold, each once, in any order. The rest of a rule is
checked for each, which may take as long as there are texts."""


DividedLookUp = Callable[[Prompt], Pieces[Iterable[int]]]
"""Returns what a look-up does, with pauses."""


def in_pieces(
    look_up: LookUp, prompt: Prompt, headers: Headers, effort: Effort
) -> Pieces[Iterable[int]]:
    """Return what `look_up` finds, with pauses."""
    if isinstance(look_up, (TextLookUp, ValueLookUp)):
        return (yield from look_up.in_pieces(prompt, effort))
    if isinstance(look_up, HeaderLookUp):
        return (yield from look_up.in_pieces(headers, effort))
    return look_up(prompt, headers)


Find = Callable[[str], Collection[int]]
"""Returns the positions of the keys that hold for one text."""


@dataclass(frozen=True, slots=True)
class TextLookUp:
    """Finds the keys that hold for one of the texts that `read` gives of a prompt. `in_text` does
    so for one text, `pieces_in_text` with pauses."""

    read: Callable[[Prompt], Iterable[str]]
    in_text: Find
    pieces_in_text: Callable[[str, Effort], Pieces[Iterable[int]]]
    unfolded: Callable[[Prompt], Iterable[str]] | None = None
    """Reads the texts before they are folded, if `read` folds them."""
    max_short: int = MAX_SHORT
    """Characters of a text that is looked at in one piece."""

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        found: Collection[int] = ()
        for text in self.read(prompt):
            places = self.in_text(text)
            if places:
                found = {*found, *places} if found else places
        return found

    def in_pieces(self, prompt: Prompt, effort: Effort) -> Pieces[Iterable[int]]:
        """Return what a call returns, with pauses. It is kept with the prompt, because the closest
        rule is looked for among those that were found."""
        known: set[int] | None = None if prompt.verdicts is None else prompt.verdicts.get(self)
        if known is not None:
            return known
        read, folded = self.unfolded or self.read, prompt.once(Folded)
        if isinstance(read, BodyTexts):
            yield from read.path.prepare(prompt, effort)
        found: set[int] = set()
        for each in read(prompt):
            text = each
            if self.unfolded is not None:
                if len(text) > MAX_TEXT_AT_ONCE:
                    text = yield from folded.fold_in_pieces(text, effort)
                else:
                    text = folded[text]
            if len(text) > self.max_short:
                found.update((yield from self.pieces_in_text(text, effort)))
            else:
                found.update(self.in_text(text))
                if effort.is_much(PER_SHORT):
                    yield False
        prompt.keep_verdict(self, found)
        return found


@dataclass(frozen=True, slots=True)
class OneMessageText(TextLookUp):
    """Finds the only key in the last messages of a role, in half the time; None is any role."""

    role: str | None = None
    only: str = ""

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        for message in prompt.last_messages:
            if self.role is None or message.role == self.role:
                for text in message.search_texts:
                    if self.only in text:
                        return _FIRST
        return ()


@dataclass(frozen=True, slots=True)
class HeaderLookUp:
    """Finds the keys that are in the first value of a header."""

    name: bytes
    texts: SubstringIndex
    """The keys, each character of which is a byte."""

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        value = headers.get(self.name)
        return () if value is None else self.texts.matches(value.decode("latin-1"))

    def in_pieces(self, headers: Headers, effort: Effort) -> Pieces[Iterable[int]]:
        """Return what a call returns, with pauses."""
        value = headers.get(self.name)
        if value is None:
            return ()
        return (yield from self.texts.matches_in_pieces(value.decode("latin-1"), effort))


@dataclass(frozen=True, slots=True)
class ValueLookUp:
    """Finds the keys that are among the values that `read` gives of a prompt."""

    read: Callable[[Prompt], Iterable[Hashable]]
    places: Mapping[Hashable, int]
    longest: int = 0
    """Characters of the longest key that is a text."""
    long: Mapping[tuple[int, str], Sequence[str]] = field(default_factory=dict)
    """Keys that are long texts, by what `_shape` returns."""

    @classmethod
    def of(
        cls, read: Callable[[Prompt], Iterable[Hashable]], places: Mapping[Hashable, int]
    ) -> Self:
        """Return the look-up of these keys."""
        texts = [key for key in places if isinstance(key, str)]
        long: dict[tuple[int, str], list[str]] = {}
        for text in texts:
            if len(text) > MAX_TEXT_AT_ONCE:
                long.setdefault(_shape(text), []).append(text)
        return cls(read, places, max(map(len, texts), default=0), long)

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        places = self.places
        return {places[value] for value in self.read(prompt) if value in places}

    def in_pieces(self, prompt: Prompt, effort: Effort) -> Pieces[Iterable[int]]:
        """Return what a call returns, with pauses."""
        if isinstance(self.read, BodyValues):
            values: Iterable[Hashable] = yield from self.read.in_pieces(prompt, effort)
        else:
            values = self.read(prompt)
        places, longest = self.places, self.longest
        found: set[int] = set()
        for value in values:
            if isinstance(value, str) and len(value) > min(longest, MAX_TEXT_AT_ONCE):
                found.update((yield from self._find_long(value)))
            elif value in places:
                found.add(places[value])
            if effort.is_much(PER_VALUE):
                yield False
        return found

    def _find_long(self, text: str) -> Pieces[Iterable[int]]:
        """Return the place of a long text, which is compared: to hash 60 MB takes 10 to 30 ms."""
        for key in self.long.get(_shape(text), ()):
            yield False
            if key == text:
                return (self.places[key],)
        return ()


def _shape(text: str) -> tuple[int, str]:
    """Return what few long texts that differ have in common."""
    middle = len(text) // 2
    return len(text), text[:ENDS] + text[middle : middle + ENDS] + text[-ENDS:]
