"""Finds words of a match that no request to an API can meet, alone or together.

Only what is certain is a reason: an API that has no such thing, or two words that contradict each
other in every conversation. Headers and whole messages are `impossible`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from mockllm.config.conditions import Conditions
from mockllm.engine.conditions import NEVER
from mockllm.errors import Place, Problem, warning
from mockllm.matching.body_values import (
    AllValues,
    AnyValue,
    BodyHas,
    ValueEquals,
    ValueTest,
    ValueText,
)
from mockllm.matching.logic import AllOf, AnyOf, Not
from mockllm.matching.predicate import Predicate
from mockllm.matching.request_predicates import (
    Counter,
    CountIs,
    NoTools,
    OffersAnyTool,
    OffersTool,
    Streams,
    SystemContains,
)
from mockllm.matching.subjects import Subject
from mockllm.matching.text_predicates import MessageIs, ResultIs, TextIs
from mockllm.matching.text_tests import AllTests, AnyTest, Equals, TextTest
from mockllm.providers.api import API

_EMBEDDINGS = "embeddings"
_NO_ALTERNATIVE = "no match in 'any_of' can hold beside the rest: "
MAX_ALTERNATIVES = 100  # of one condition, which are compared with those beside it


def find_reason(api: API, predicates: Iterable[Predicate]) -> str | None:
    """Return why no request to `api` can meet all `predicates`; None if some may."""
    conditions = [*_flat(predicates)]
    for condition in conditions:
        reason = _in_api(api, condition)
        if reason is not None:
            return reason
    return _together(conditions)


def shared_problems(
    match: Conditions, reasons: Mapping[str, str], place: Place
) -> Iterator[Problem]:
    """Report the words by which a mock of several APIs cannot be met. `reasons` are those of
    `find_reason` by the word of an API, if there is one for each; else they are empty."""
    named: Iterable[str] = match.api or [*reasons]
    remedy = "write the mock into 'openai_embeddings', with a 'response'"
    if set(named) == {_EMBEDDINGS}:
        message = f"can never match: no mock of 'mocks' answers embeddings; {remedy}"
        yield warning(place.at("match.api"), message)
        return
    if _EMBEDDINGS in named:
        message = f"{_EMBEDDINGS!r} has no effect: no mock of 'mocks' answers embeddings; {remedy}"
        yield warning(place.at("match.api"), message)
    told = {word: reason for word, reason in reasons.items() if word in named}
    if len(set(told.values())) > 1:
        yield never("; ".join(f"in {word}: {reason}" for word, reason in told.items()), place)
    elif told:
        yield never(next(iter(told.values())), place)


def never(reason: str, place: Place) -> Problem:
    """Return the problem of a mock that no request can meet for this `reason`."""
    return warning(place.at("match"), f"can never match: {reason}")


def _flat(predicates: Iterable[Predicate]) -> Iterator[Predicate]:
    for predicate in predicates:
        if isinstance(predicate, AllOf):
            yield from _flat(predicate.conditions)
        else:
            yield predicate


# --- one condition -------------------------------------------------------------------------------


def _in_api(api: API, condition: Predicate) -> str | None:
    """Return why no request to `api` can meet one condition."""
    match condition:
        case AnyOf(conditions):
            if condition == NEVER:
                return f"match.api does not name this API, {api.word!r}"
            reasons = [find_reason(api, [each]) for each in conditions]
            return None if None in reasons else reasons[0]
        case Not(AllOf(()), "{}"):
            return "an empty 'not' holds for no request; leave it out"
        case Not(AllOf(()), words):
            return f"what 'not' excludes always holds: {words}"
        case ResultIs(error=True) if not api.reports_failed_tools:
            return f"a request of {api.title} does not tell that a tool failed"
    impossible = next(filter(None, map(_impossible_text, _texts_of(condition))), None)
    if impossible is None and api.respond is None:
        return _without_conversation(api, condition)
    return impossible


def _texts_of(condition: Predicate) -> Iterator[TextTest]:
    """Yield the tests of texts that a condition has."""
    match condition:
        case TextIs(test=test) | MessageIs(test=TextTest() as test):
            yield test
        case BodyHas(test=ValueText(test)):
            yield test
        case ResultIs(text, name, call_id):
            yield from (each for each in (text, name, call_id) if each is not None)


def _impossible_text(test: TextTest) -> str | None:
    """Return why no text passes `test`: its exact text fails a test beside it."""
    match test:
        case AnyTest(tests):
            reasons = [*map(_impossible_text, tests)]
            return None if None in reasons else next(iter(reasons), None)
        case AllTests(tests):
            exact = [each for each in tests if isinstance(each, Equals) and not each.ignores_case]
            for each in exact:
                failed = (other for other in tests if not other.passes(each.value))
                for other in failed:
                    return f"{each} is not {other}"
    return None


def _without_conversation(api: API, condition: Predicate) -> str | None:
    """Return why no request to `api`, which has inputs only, can meet a condition."""
    match condition:
        case ResultIs() | MessageIs(role="tool"):
            lacking = "tool results"
        case MessageIs(role="assistant"):
            lacking = "answers of the model"
        case TextIs(subject=Subject.SYSTEM) | SystemContains():
            lacking = "instructions"
        case TextIs(subject=Subject.SCHEMA):
            lacking = "schema"
        case OffersTool() | OffersAnyTool():
            lacking = "tools"
        case CountIs(low=low) if low > 1:
            lacking = "earlier answers"
        case Streams(expected=True):
            return f"{api.title} does not stream"
        case _:
            return None
    return f"a request of {api.title} has no {lacking}"


# --- several conditions --------------------------------------------------------------------------


def _together(conditions: Sequence[Predicate]) -> str | None:
    """Return why no conversation can meet all conditions."""
    kinds = {type(each) for each in conditions}
    asks = any(isinstance(each, TextIs) and each.subject is Subject.USER for each in conditions)
    if asks and ResultIs in kinds:
        return (
            "'user' holds only without a tool result; write 'last_user' for words beside a "
            "'tool_result'"
        )
    counts = [each for each in conditions if isinstance(each, CountIs)]
    if asks and any(each.counter is Counter.STEP and each.low > 1 for each in counts):
        return "'user' holds only in the first step; write 'last_user' for the words before it"
    if NoTools in kinds and kinds & {OffersTool, OffersAnyTool}:
        return "no tools and some tools cannot both be offered"
    if len({each.expected for each in conditions if isinstance(each, Streams)}) > 1:
        return "'stream' cannot be both true and false"
    return (
        _impossible_counts(counts)
        or _impossible_model(conditions)
        or _impossible_body([each for each in conditions if isinstance(each, BodyHas)])
        or _excluded(conditions)
        or _without_alternative(conditions)
    )


def _impossible_model(conditions: Sequence[Predicate]) -> str | None:
    """Return why no model, which has one name, meets all conditions on it."""
    tests: list[TextTest] = []
    for each in conditions:
        if isinstance(each, TextIs) and each.subject is Subject.MODEL:
            tests += each.test.tests if isinstance(each.test, AllTests) else [each.test]
    if any(isinstance(each, Equals) and not each.value for each in tests):
        return "a request without a model is refused"
    reason = _impossible_text(AllTests(tuple(tests)))
    return None if reason is None else f"of the model, {reason}"


def _impossible_body(conditions: Sequence[BodyHas]) -> str | None:
    """Return why no body meets all conditions on it: a path that selects one value at most is to
    select two, or one and none. Of other paths, each condition may hold for a value of its own."""
    by_path: dict[Any, list[BodyHas]] = {}
    for each in conditions:
        key = each if each.path.steps is None else each.path.steps
        by_path.setdefault(key, []).append(each)
    for of_path in by_path.values():
        path = of_path[0].path.text
        wanted = [each.test for each in of_path if each.test is not None]
        if 0 < len(wanted) < len(of_path):
            return f"{path} cannot be both missing and {wanted[0]}"
        tests = [part for each in wanted for part in _parts(each)]
        for one in tests:
            values = _only_values(one)
            for other in tests if values else ():
                if not any(map(other.passes, values)):
                    return f"{path} cannot be both {one} and {other}"
    return None


def _parts(test: ValueTest) -> Iterator[ValueTest]:
    """Yield the tests that a value must pass to pass `test`."""
    if isinstance(test, AllValues):
        for each in test.tests:
            yield from _parts(each)
    else:
        yield test


def _only_values(test: ValueTest) -> Sequence[Any]:
    """Return all values that may pass `test`; none if it is not known that they are few."""
    match test:
        case ValueEquals(wanted):
            value = orjson.loads(wanted)
            return [value] if test.passes(value) else []
        case ValueText(Equals(text, False)):
            return [text]
        case AnyValue(tests) if len(tests) <= MAX_ALTERNATIVES:
            values = [*map(_only_values, tests)]
            return [value for each in values for value in each] if all(values) else []
    return []


def _excluded(conditions: Sequence[Predicate]) -> str | None:
    """Return why a condition that must not hold does: whenever the others hold, it holds."""
    for each in conditions:
        if isinstance(each, Not):
            others = tuple(other for other in conditions if other is not each)
            if AllOf(tuple(_flat([each.condition]))).covers(AllOf(others)):
                return f"what 'not' excludes is demanded beside it: {each.words}"
    return None


def _without_alternative(conditions: Sequence[Predicate]) -> str | None:
    """Return why none of several matches holds beside the other conditions."""
    rest = [each for each in conditions if not isinstance(each, AnyOf)]
    for each in conditions if rest else ():
        if isinstance(each, AnyOf) and 0 < len(each.conditions) <= MAX_ALTERNATIVES:
            reasons = [_together([*rest, *_flat([one])]) for one in each.conditions]
            if reasons[0] is not None and None not in reasons:
                return _NO_ALTERNATIVE + reasons[0].removeprefix(_NO_ALTERNATIVE)
    return None


def _impossible_counts(counts: Sequence[CountIs]) -> str | None:
    """Return why no answer has these numbers. A step is at most as high as its turn, since it
    counts a part of the same answers."""
    for one in counts:
        for other in counts:
            is_below = one.high is not None and one.high < other.low
            if is_below and one.counter is other.counter:
                return f"no '{one.counter.value.name}' is in both ranges"
            if is_below and (one.counter, other.counter) == (Counter.TURN, Counter.STEP):
                return f"'step' is at most 'turn', and so at most {one.high} here"
    return None
