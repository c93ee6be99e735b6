"""Families: predicates that read the same thing of a request, and are looked up together.

Each of the predicates of a family (`x-tenant`, the instructions) has a key in it (``a``, "French").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from mockllm.matching import readings
from mockllm.matching.expressions import (
    MAX_FILTERED,
    DividedFilter,
    Matches,
    expression_filter,
    is_too_large,
)
from mockllm.matching.lookups import (
    MAX_SHORT,
    BodyTexts,
    BodyValues,
    DividedLookUp,
    HeaderLookUp,
    LookUp,
    OneMessageText,
    TextLookUp,
    ValueLookUp,
)
from mockllm.matching.message_predicates import equal_key
from mockllm.matching.predicate import Headers
from mockllm.matching.substrings import SubstringIndex
from mockllm.matching.texts import quote
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

MIN_MESSAGE = 16  # bytes of a message
SIZES_AT_ONCE = 16  # numbers of last items of which the canonical form is joined without a pause
MIN_VALUE = 2  # bytes of a value and its separator


class Family(ABC):
    """What the predicates of a family read. Equal for predicates that are looked up together."""

    __slots__ = ()

    rank = 3
    """Its place among families that are as selective: the lowest is the cheapest to look up."""

    @abstractmethod
    def look_up(self, keys: Sequence[Any]) -> LookUp:
        """Return a function that finds those of `keys` that hold."""

    def divide(self, keys: Sequence[Any]) -> DividedLookUp | None:
        """Return a function that does the same in pieces; None if `lookups.in_pieces` does."""
        return None

    def holding(self, size: int) -> int | None:
        """Return how many keys may hold for a request with a body of `size` bytes, however many
        there are; None if all of them may."""
        return None

    def slowness(self, key: Any) -> str:
        """Return the sentence that explains why it takes long to look up `key`, whatever the
        request; empty if it does not."""
        return ""


@dataclass(frozen=True, slots=True)
class MessageItems(Family):
    """The items of a message by their number and canonical form; with `last`, the last ones of it.
    Computes the canonical form only if some key has as many items."""

    last: bool

    rank = 0

    def holding(self, size: int) -> int | None:
        return None if self.last else 1 + size // MIN_MESSAGE

    def look_up(self, keys: Sequence[tuple[int, bytes]]) -> LookUp:
        places = {key: place for place, key in enumerate(keys)}
        longest: dict[int, int] = {}
        for size, key in keys:
            longest[size] = max(longest.get(size, 0), len(key))
        sizes = frozenset(longest)
        last = self.last

        def find(prompt: Prompt, headers: Headers) -> Iterable[int]:
            messages = prompt.last_messages
            if len(messages) == 1 and not last:  # as nearly always
                items = messages[0].items
                size = -1 if items is None else len(items)
                if size not in sizes or messages[0].is_longer(size, longest[size]):
                    return ()
                place = places.get((size, messages[0].key_of_last(size)))
                return () if place is None else (place,)
            found: set[int] = set()
            for message in messages:
                size = message.size
                for each in sizes if last else (size,) if size in sizes else ():
                    if each <= size and not message.is_longer(each, longest[each]):
                        place = places.get((each, message.key_of_last(each)))
                        if place is not None:
                            found.add(place)
            return found

        return find

    def divide(self, keys: Sequence[tuple[int, bytes]]) -> DividedLookUp:
        by_size: dict[int, dict[bytes, int]] = {}
        for place, (size, key) in enumerate(keys):
            by_size.setdefault(size, {})[key] = place
        last = self.last

        def find(prompt: Prompt) -> Pieces[Iterable[int]]:
            found: set[int] = set()
            for message in prompt.last_messages:
                for number, size in enumerate(by_size if last else (message.size,), 1):
                    places = by_size.get(size)
                    if not number % SIZES_AT_ONCE:
                        yield False
                    if places is not None and size <= message.size:
                        key = yield from equal_key(message, size, places)
                        if key is not None:
                            found.add(places[key])
            return found

        return find


@dataclass(frozen=True, slots=True)
class MessageTexts(Family):
    """The texts of the last messages of a role; None for any role."""

    role: str | None

    rank = 2

    def look_up(self, keys: Sequence[str]) -> LookUp:
        substrings, role = SubstringIndex(keys), self.role

        def read(prompt: Prompt) -> Iterable[str]:
            messages = prompt.last_messages
            if len(messages) == 1:  # as nearly always
                return messages[0].search_texts if role in (None, messages[0].role) else ()
            of_role = (message for message in messages if role in (None, message.role))
            return chain.from_iterable(message.search_texts for message in of_role)

        if len(keys) == 1:
            in_pieces = substrings.matches_in_pieces
            return OneMessageText(read, substrings.matches, in_pieces, role=role, only=keys[0])
        return TextLookUp(read, substrings.matches, substrings.matches_in_pieces)


@dataclass(frozen=True, slots=True)
class HeaderValues(Family):
    """The first value of a header; a missing one equals the empty value."""

    name: bytes

    def holding(self, size: int) -> int | None:
        return 1

    def look_up(self, keys: Sequence[bytes]) -> LookUp:
        places = {key: (place,) for place, key in enumerate(keys)}
        name = self.name
        return lambda prompt, headers: places.get(headers.get(name, b""), ())


@dataclass(frozen=True, slots=True)
class HeaderTexts(Family):
    """The texts in the first value of a header, which is not missing."""

    name: bytes

    rank = 2

    def look_up(self, keys: Sequence[bytes]) -> LookUp:
        return HeaderLookUp(self.name, SubstringIndex([key.decode("latin-1") for key in keys]))


@dataclass(frozen=True, slots=True)
class PromptValues(Family):
    """Values that `read` gives of a prompt."""

    read: Callable[[Prompt], Iterable[Hashable]]

    def holding(self, size: int) -> int | None:
        return 1 + size // MIN_VALUE

    def look_up(self, keys: Sequence[Hashable]) -> LookUp:
        read = self.read
        if isinstance(read, BodyValues):
            read = replace(read, longest=max(len(key) for key in keys if isinstance(key, bytes)))
        return ValueLookUp.of(read, {key: place for place, key in enumerate(keys)})

    def slowness(self, key: Hashable) -> str:
        return _slow_path(self.read)


@dataclass(frozen=True, slots=True)
class PromptTexts(Family):
    """Texts that contain a key; `read` gives them of a prompt. With `folded`, the keys are folded,
    and so are the texts."""

    read: Callable[[Prompt], Iterable[str]]
    folded: bool = False

    rank = 4

    def look_up(self, keys: Sequence[str]) -> LookUp:
        substrings, read = SubstringIndex(keys), self.read
        find, in_pieces = substrings.matches, substrings.matches_in_pieces
        if self.folded:
            return TextLookUp(_folding(read), find, in_pieces, read)
        return TextLookUp(read, find, in_pieces)

    def slowness(self, key: str) -> str:
        return _slow_path(self.read)


@dataclass(frozen=True, slots=True)
class Expressions(Family):
    """Texts that match a regular expression; the keys are `expressions.Matches`."""

    read: Callable[[Prompt], Iterable[str]]

    rank = 5

    def look_up(self, keys: Sequence[Matches]) -> LookUp:
        may_match = DividedFilter(keys)
        max_short = MAX_SHORT if len(keys) <= MAX_FILTERED else 0
        return TextLookUp(self.read, may_match.at_once, may_match, max_short=max_short)

    def slowness(self, key: Matches) -> str:
        if expression_filter([key])(""):
            if is_too_large(key):
                return (
                    f"the expression {quote(key.expression)} is too large to be looked up by its "
                    "letters, so every request is searched for it: of a text, the first "
                    f"{key.most:,} characters"
                )
            return (
                f"the expression {quote(key.expression)} has no text that every match contains, "
                "so every request is searched for it: 0.06 ms for 35 kB"
            )
        return _slow_path(self.read)


def _folding(read: Callable[[Prompt], Iterable[str]]) -> Callable[[Prompt], Iterable[str]]:
    """Return a reading of the folded texts."""
    return lambda prompt: map(readings.fold_of(prompt), read(prompt))


def _slow_path(read: Callable[[Prompt], Iterable[Any]]) -> str:
    if not isinstance(read, (BodyValues, BodyTexts)) or read.path.steps is not None:
        return ""
    return (
        f"{read.path.text} may select several values, so it is evaluated for every request: "
        "1 µs for each value it looks at, more in a filter"
    )
