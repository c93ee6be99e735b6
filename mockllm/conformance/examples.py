"""Texts and values that pass the tests of a mock: each is tested before it is returned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice, product
from typing import Any

import orjson

from mockllm.conformance.expressions import find_matching
from mockllm.matching.body_values import AllValues, AnyValue, ValueEquals, ValueTest, ValueText
from mockllm.matching.expressions import Matches
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Contains,
    EndsWith,
    Equals,
    StartsWith,
    TextTest,
)

TEXTS = ("any text", "#", "another text", "x", "0", "\n", "")
"""Texts without a meaning: several, in case an earlier mock matches one or a test excludes it."""
VALUES: tuple[Any, ...] = (TEXTS[0], 1, True, {}, [], None)
"""Values without a meaning: one of each type."""

_GLUES = (" ", "", "\n")
_MAX_CHOICES = 64  # of the alternatives in several tests


def find_texts(wanted: Sequence[TextTest], unwanted: Sequence[TextTest] = ()) -> Iterator[str]:
    """Yield different texts that pass all of `wanted` and none of `unwanted`, the plainest
    first."""
    choices = islice(product(*map(_alternatives, wanted)), _MAX_CHOICES)
    seen: set[str] = set()
    for choice in choices:
        for text in _candidates([*chain.from_iterable(choice)]):
            if text not in seen and _passes(text, wanted, unwanted):
                seen.add(text)
                yield text


def _passes(text: str, wanted: Sequence[TextTest], unwanted: Sequence[TextTest]) -> bool:
    return all(test.passes(text) for test in wanted) and not any(
        test.passes(text) for test in unwanted
    )


def _alternatives(test: TextTest) -> Iterator[tuple[TextTest, ...]]:
    """Yield lists of simple tests; a text that passes all of one passes `test`."""
    match test:
        case AnyTest(tests):
            yield from chain.from_iterable(map(_alternatives, tests))
        case AllTests(tests):
            for choice in product(*map(_alternatives, tests)):
                yield tuple(chain.from_iterable(choice))
        case _:
            yield (test,)


def _candidates(tests: Sequence[TextTest]) -> Iterator[str]:
    """Yield texts that are likely to pass all of these simple `tests`."""
    yield from (test.value for test in tests if isinstance(test, Equals))
    start = max((test.value for test in tests if isinstance(test, StartsWith)), key=len, default="")
    end = max((test.value for test in tests if isinstance(test, EndsWith)), key=len, default="")
    contained = [test.value for test in tests if isinstance(test, Contains)]
    expressions = [test.expression for test in tests if isinstance(test, Matches)]
    for matching in islice(product(*map(find_matching, expressions)), _MAX_CHOICES):
        needed = [part for part in (start, *contained, *matching, end) if part]
        yield from needed  # one of them may be enough
        for glue in _GLUES:
            if needed:
                yield glue.join(needed)
            for text in TEXTS:
                inner = [part for part in (*contained, *matching, text) if part]
                yield glue.join([*([start] if start else ()), *inner, *([end] if end else ())])
    yield ""


def find_values(test: ValueTest | None) -> Iterator[Any]:
    """Yield JSON values that pass `test`; any of them do if it is None."""
    for value in _values_for(test):
        if test is None or test.passes(value):
            yield value


def _values_for(test: ValueTest | None) -> Iterator[Any]:
    match test:
        case ValueEquals(wanted):
            yield orjson.loads(wanted)
        case ValueText(text_test):
            yield from find_texts([text_test])
        case AnyValue(tests):
            yield from chain.from_iterable(map(_values_for, tests))
        case AllValues(tests):
            texts = [each.test for each in tests if isinstance(each, ValueText)]
            yield from find_texts(texts) if texts else ()
            yield from chain.from_iterable(map(_values_for, tests))
            yield from VALUES
        case _:
            yield from VALUES
