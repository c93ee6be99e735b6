"""Homes: the families in which an index finds a predicate, and its keys in them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mockllm.matching import readings
from mockllm.matching.body_values import BodyHas, ValueText
from mockllm.matching.expressions import Matches
from mockllm.matching.families import (
    Expressions,
    Family,
    HeaderTexts,
    HeaderValues,
    MessageItems,
    MessageTexts,
    PromptTexts,
    PromptValues,
)
from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.matching.logic import AllOf, AnyOf
from mockllm.matching.lookups import BodyTexts, BodyValues
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual, MessageContains
from mockllm.matching.part_predicates import ItemsEndLike, MessageHasParts
from mockllm.matching.predicate import Predicate
from mockllm.matching.request_predicates import (
    Counter,
    CountIs,
    OffersAnyTool,
    OffersTool,
    Streams,
    SystemContains,
)
from mockllm.matching.text_predicates import MessageIs, ResultIs, TextIs
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Comparison,
    Contains,
    Equals,
    TextTest,
)
from mockllm.prompt import Prompt

_ALL_ITEMS, _LAST_ITEMS = MessageItems(last=False), MessageItems(last=True)


class Home(NamedTuple):
    """The keys of a predicate: it holds only if one of them does. If `decides`, it holds whenever
    one of them does."""

    keys: tuple[tuple[Family, Hashable], ...]
    decides: bool = False

    @property
    def rank(self) -> int:
        """The highest rank of its families."""
        return max((family.rank for family, _ in self.keys), default=0)


@dataclass(frozen=True, slots=True)
class _SubjectTexts:
    """Reads the texts that are tested of a subject."""

    tested: Callable[[Prompt], Iterable[str]]

    def __call__(self, prompt: Prompt) -> Iterable[str]:
        return prompt.once(self.tested)


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


def home_of(predicate: Predicate) -> Home | None:
    """Return the keys by which `predicate` is looked up; None if it has to be checked."""
    match predicate:
        case ItemsEqual(size, key):
            return Home(((_ALL_ITEMS, (size, key)),), decides=True)
        case ItemsEndWith(size, key):
            return Home(((_LAST_ITEMS, (size, key)),), decides=True)
        case MessageHasParts(role=role) if predicate.required_texts:
            return Home(((MessageTexts(role), max(predicate.required_texts, key=len)),))
        case MessageHasParts() | ItemsEndLike() if predicate.call_ids:
            return Home(((PromptValues(_last_calls), predicate.call_ids[0]),))
        case MessageContains(text, role):
            return Home(((MessageTexts(role), text),), decides=True)
        case HeaderEquals(name, _, value):
            return Home(((HeaderValues(name), value),), decides=True)
        case HeaderContains(name, _, value):
            return Home(((HeaderTexts(name), value),), decides=True)
        case SystemContains(text):
            return Home(((PromptTexts(Prompt.system), text),), decides=True)
        case OffersTool(name):
            return Home(((PromptValues(Prompt.tools), name),), decides=True)
        case OffersAnyTool(names):
            return Home(tuple((PromptValues(Prompt.tools), name) for name in names), decides=True)
        case Streams(expected):
            return Home(((PromptValues(_streams), expected),), decides=True)
        case CountIs(counter, low, high) if low == high:
            return Home(((PromptValues(_Number(counter)), low),), decides=True)
        case TextIs(subject, test):
            return _home_of_test(test, _SubjectTexts(subject.value.tested))
        case MessageIs(TextTest() as test):
            return _best([_home_of_test(test, _all_texts)])
        case ResultIs():
            return _home_of_result(predicate)
        case BodyHas(path, ValueText(test)):
            return _best([_home_of_test(test, BodyTexts(path))])
        case BodyHas(path, test, canonical) if test is not None and test.key is not None:
            return Home(((PromptValues(BodyValues(path, canonical)), test.key),), decides=True)
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
            return Home(((Expressions(read), test),))
        case Equals(value, False):
            return Home(((PromptValues(read), value),), decides=True)
        case Comparison(_, ignores_case):
            family = PromptTexts(read, ignores_case)
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
