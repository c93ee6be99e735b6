"""Look-ups: how an index finds the predicates that hold, without comparing each.

Predicates that read the same thing of a request are a family (`x-tenant`, the instructions). Each
of them has a key in it (``a``, "French"), and a look-up finds the keys that hold for a request at
once: in a dictionary, an automaton or a set of expressions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

from mockllm.matching import readings
from mockllm.matching.body_values import BodyHas, Canonical, ValueText, is_longer
from mockllm.matching.effort import Effort, Pieces
from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.json_path import Path
from mockllm.matching.logic import AllOf, AnyOf
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual, MessageContains
from mockllm.matching.part_predicates import ItemsEndLike, MessageHasParts
from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.request_predicates import (
    Counter,
    CountIs,
    OffersAnyTool,
    OffersTool,
    Streams,
    SystemContains,
)
from mockllm.matching.subjects import Subject
from mockllm.matching.substrings import SubstringIndex
from mockllm.matching.text_predicates import MessageIs, ResultIs, TextIs
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Comparison,
    Contains,
    Equals,
    Matches,
    TextTest,
    expression_filter,
)
from mockllm.matching.texts import quote
from mockllm.prompt import Prompt

MAX_SHORT = 256  # characters of a text that is looked at in one piece
PER_SHORT = 2_000  # nanoseconds to look up such a text
PER_VALUE = 200  # nanoseconds to look up a value
FILTER_CALL = 2_000  # nanoseconds to look for the literals of expressions in another
FILTER_PER_CHARACTER = 8  # nanoseconds

_FIRST = (0,)

LookUp = Callable[[Prompt, Headers], Iterable[int]]
"""Returns the positions of the keys that hold, each once, in any order. The rest of a rule is
checked for each, which may take as long as there are texts."""


def in_pieces(
    look_up: LookUp, prompt: Prompt, headers: Headers, effort: Effort
) -> Pieces[Iterable[int]]:
    """Return what `look_up` finds, with pauses."""
    if isinstance(look_up, TextLookUp):
        return (yield from look_up.in_pieces(prompt, effort))
    if isinstance(look_up, _ValueLookUp):
        return (yield from look_up.in_pieces(prompt, effort))
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
        if isinstance(self.read, _BodyTexts):
            yield from self.read.path.prepare(prompt, effort)
        found: set[int] = set()
        for text in self.read(prompt):
            if len(text) > MAX_SHORT:
                found.update((yield from self.pieces_in_text(text, effort)))
            else:
                found.update(self.in_text(text))
                if effort.is_much(PER_SHORT):
                    yield False
        prompt.keep_verdict(self, found)
        return found


@dataclass(frozen=True, slots=True)
class _OneMessageText(TextLookUp):
    """Finds the only key in the last messages of a role, in half the time; None is any role."""

    role: str | None
    only: str

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        for message in prompt.last_messages:
            if self.role is None or message.role == self.role:
                for text in message.search_texts:
                    if self.only in text:
                        return _FIRST
        return ()


@dataclass(frozen=True, slots=True)
class _ValueLookUp:
    """Finds the keys that are among the values that `read` gives of a prompt."""

    read: Callable[[Prompt], Iterable[Hashable]]
    places: Mapping[Hashable, int]

    def __call__(self, prompt: Prompt, headers: Headers) -> Iterable[int]:
        places = self.places
        return {places[value] for value in self.read(prompt) if value in places}

    def in_pieces(self, prompt: Prompt, effort: Effort) -> Pieces[Iterable[int]]:
        """Return what a call returns, with pauses."""
        if isinstance(self.read, _BodyValues):
            yield from self.read.path.prepare(prompt, effort)
        places = self.places
        found: set[int] = set()
        for value in self.read(prompt):
            if value in places:
                found.add(places[value])
            if effort.is_much(PER_VALUE):
                yield False
        return found


class Family(ABC):
    """What the predicates of a family read. Equal for predicates that are looked up together."""

    __slots__ = ()

    rank = 3
    """Its place among families that are as selective: the lowest is the cheapest to look up."""

    @abstractmethod
    def look_up(self, keys: Sequence[Any]) -> LookUp:
        """Return a function that finds those of `keys` that hold."""

    def slowness(self, key: Any) -> str:
        """Return the sentence that explains why it takes long to look up `key`, whatever the
        request; empty if it does not."""
        return ""


class Home(NamedTuple):
    """The keys of a predicate: it holds only if one of them does. If `decides`, it holds whenever
    one of them does."""

    keys: tuple[tuple[Family, Hashable], ...]
    decides: bool = False

    @property
    def rank(self) -> int:
        """The highest rank of its families."""
        return max((family.rank for family, _ in self.keys), default=0)


# --- families -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Items(Family):
    """The items of a message by their number and canonical form; with `last`, the last ones of it.
    Computes the canonical form only if some key has as many items."""

    last: bool

    rank = 0

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


@dataclass(frozen=True, slots=True)
class _MessageTexts(Family):
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
            only = substrings.matches, substrings.matches_in_pieces, role, keys[0]
            return _OneMessageText(read, *only)
        return TextLookUp(read, substrings.matches, substrings.matches_in_pieces)


@dataclass(frozen=True, slots=True)
class _HeaderValues(Family):
    """The first value of a header; a missing one equals the empty value."""

    name: bytes

    def look_up(self, keys: Sequence[bytes]) -> LookUp:
        places = {key: (place,) for place, key in enumerate(keys)}
        name = self.name
        return lambda prompt, headers: places.get(headers.get(name, b""), ())


@dataclass(frozen=True, slots=True)
class _Values(Family):
    """Values that `read` gives of a prompt."""

    read: Callable[[Prompt], Iterable[Hashable]]

    def look_up(self, keys: Sequence[Hashable]) -> LookUp:
        read = self.read
        if isinstance(read, _BodyValues):
            read = replace(read, longest=max(len(key) for key in keys if isinstance(key, bytes)))
        return _ValueLookUp(read, {key: place for place, key in enumerate(keys)})

    def slowness(self, key: Hashable) -> str:
        return _slow_path(self.read)


@dataclass(frozen=True, slots=True)
class _Texts(Family):
    """Texts that contain a key; `read` gives them of a prompt. With `folded`, the keys are folded,
    and so are the texts."""

    read: Callable[[Prompt], Iterable[str]]
    folded: bool = False

    rank = 4

    def look_up(self, keys: Sequence[str]) -> LookUp:
        substrings, read = SubstringIndex(keys), self.read
        texts = _folding(read) if self.folded else read
        return TextLookUp(texts, substrings.matches, substrings.matches_in_pieces)

    def slowness(self, key: str) -> str:
        return _slow_path(self.read)


@dataclass(frozen=True, slots=True)
class _Expressions(Family):
    """Texts that match a regular expression; the keys are `text_tests.Matches`."""

    read: Callable[[Prompt], Iterable[str]]

    rank = 5

    def look_up(self, keys: Sequence[Matches]) -> LookUp:
        may_match = expression_filter(keys)

        def in_pieces(text: str, effort: Effort) -> Pieces[Iterable[int]]:
            found = may_match(text)
            if effort.is_much(FILTER_CALL + FILTER_PER_CHARACTER * len(text)):
                yield False
            return found

        return TextLookUp(self.read, may_match, in_pieces)

    def slowness(self, key: Matches) -> str:
        if expression_filter([key])(""):
            return (
                f"the expression {quote(key.expression)} has no text that every match contains, "
                "so every request is searched for it: 0.06 ms for 35 kB"
            )
        return _slow_path(self.read)


@dataclass(frozen=True, slots=True)
class _BodyValues:
    """Reads the values that a path selects, in their canonical form, but for those of which that
    has certainly more than `longest` bytes."""

    path: Path
    canonical: Canonical
    longest: int = 0

    def __call__(self, prompt: Prompt) -> Iterable[bytes]:
        values = self.path.select(prompt) or ()
        return (self.canonical(value) for value in values if not is_longer(value, self.longest))


@dataclass(frozen=True, slots=True)
class _BodyTexts:
    """Reads the texts that a path selects."""

    path: Path

    def __call__(self, prompt: Prompt) -> Iterable[str]:
        values = self.path.select(prompt) or ()
        return [value for value in values if isinstance(value, str)]


def _folding(read: Callable[[Prompt], Iterable[str]]) -> Callable[[Prompt], Iterable[str]]:
    """Return a reading of the folded texts."""
    return lambda prompt: map(readings.fold_of(prompt), read(prompt))


def _slow_path(read: Callable[[Prompt], Iterable[Any]]) -> str:
    if not isinstance(read, (_BodyValues, _BodyTexts)) or read.path.steps is not None:
        return ""
    return (
        f"{read.path.text} may select several values, so it is evaluated for every request: "
        "1 µs for each value it looks at, more in a filter"
    )


@dataclass(frozen=True, slots=True)
class _SubjectTexts:
    """Reads the texts of a subject."""

    subject: Subject

    def __call__(self, prompt: Prompt) -> Iterable[str]:
        return prompt.once(self.subject.value.tested)


@dataclass(frozen=True, slots=True)
class _Number:
    """Reads a number; none if it cannot be told."""

    counter: Counter

    def __call__(self, prompt: Prompt) -> Iterable[int]:
        number = prompt.once(self.counter.value.read)
        return () if number is None else (number,)


def _result_texts(prompt: Prompt) -> Iterable[str]:
    return prompt.once(readings.all_result_texts)


def _result_names(prompt: Prompt) -> Iterable[str]:
    return (result.name for result in prompt.once(readings.results))


def _result_ids(prompt: Prompt) -> Iterable[str]:
    return (result.call_id for result in prompt.once(readings.results))


def _all_texts(prompt: Prompt) -> Iterable[str]:
    return prompt.once(readings.all_texts)


def _last_calls(prompt: Prompt) -> Iterable[str]:
    return {call_id for message in prompt.last_messages for call_id in message.call_ids()}


def _streams(prompt: Prompt) -> Iterable[bool]:
    return (prompt.options.stream,)


# --- homes ----------------------------------------------------------------------------------------


def home_of(predicate: Predicate) -> Home | None:
    """Return the keys by which `predicate` is looked up; None if it has to be checked."""
    match predicate:
        case ItemsEqual(size, key):
            return Home(((_Items(last=False), (size, key)),), decides=True)
        case ItemsEndWith(size, key):
            return Home(((_Items(last=True), (size, key)),), decides=True)
        case MessageHasParts(role=role) if predicate.required_texts:
            return Home(((_MessageTexts(role), max(predicate.required_texts, key=len)),))
        case MessageHasParts() | ItemsEndLike() if predicate.call_ids:
            return Home(((_Values(_last_calls), predicate.call_ids[0]),))
        case MessageContains(text, role):
            return Home(((_MessageTexts(role), text),), decides=True)
        case HeaderEquals(name, _, value):
            return Home(((_HeaderValues(name), value),), decides=True)
        case SystemContains(text):
            return Home(((_Texts(Prompt.system), text),), decides=True)
        case OffersTool(name):
            return Home(((_Values(Prompt.tools), name),), decides=True)
        case OffersAnyTool(names):
            return Home(tuple((_Values(Prompt.tools), name) for name in names), decides=True)
        case Streams(expected):
            return Home(((_Values(_streams), expected),), decides=True)
        case CountIs(counter, low, high) if low == high:
            return Home(((_Values(_Number(counter)), low),), decides=True)
        case TextIs(subject, test):
            return _home_of_test(test, _SubjectTexts(subject))
        case MessageIs(TextTest() as test):
            return _best([_home_of_test(test, _all_texts)])
        case ResultIs():
            return _home_of_result(predicate)
        case BodyHas(path, ValueText(test)):
            return _best([_home_of_test(test, _BodyTexts(path))])
        case BodyHas(path, test, canonical) if test is not None and test.key is not None:
            return Home(((_Values(_BodyValues(path, canonical)), test.key),), decides=True)
        case AllOf(conditions):
            return _best(map(home_of, conditions))
        case AnyOf(conditions):
            return _union(map(home_of, conditions))
        case _:
            return None


def _home_of_result(predicate: ResultIs) -> Home | None:
    tests = (
        (predicate.call_id, _result_ids),
        (predicate.name, _result_names),
        (predicate.text, _result_texts),
    )
    return _best(_home_of_test(test, read) for test, read in tests if test is not None)


def _home_of_test(test: TextTest, read: Callable[[Prompt], Iterable[str]]) -> Home | None:
    """Return the keys of a test that one of the texts passes which `read` gives."""
    match test:
        case AllTests(tests):
            return _best(_home_of_test(each, read) for each in tests)
        case AnyTest(tests):
            return _union(_home_of_test(each, read) for each in tests)
        case Matches():
            return Home(((_Expressions(read), test),))
        case Equals(value, False):
            return Home(((_Values(read), value),), decides=True)
        case Comparison(_, ignores_case):
            family = _Texts(read, ignores_case)
            decides = isinstance(test, Contains) and not ignores_case
            return Home(((family, test.compared),), decides)
        case _:
            return None


def _best(homes: Iterable[Home | None]) -> Home | None:
    """Return the cheapest of the homes of several conditions that must all hold."""
    known = (home for home in homes if home is not None)
    best = min(known, key=lambda home: home.rank, default=None)
    return best and best._replace(decides=False)


def _union(homes: Iterable[Home | None]) -> Home | None:
    """Return the keys of several conditions of which one must hold."""
    keys: list[tuple[Family, Hashable]] = []
    for home in homes:
        if home is None:
            return None
        keys += home.keys
    return Home(tuple(keys))
