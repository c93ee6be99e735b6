"""Requirements: the conditions that a request must meet, and must not, so that a rule matches, with
`all_of`, `any_of` and `not` resolved to lists of simple ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from mockllm.matching.body_values import AllValues, BodyHas
from mockllm.matching.logic import AllOf, AnyOf, Not
from mockllm.matching.predicate import Predicate
from mockllm.matching.request_predicates import CountIs, NoTools, OffersTool, Streams

ANY_TOOL = "a_tool"
"""The name of a tool where any will do."""


class Requirement(NamedTuple):
    """A simple condition that must hold, or must not."""

    condition: Predicate
    holds: bool


Requirements = tuple[Requirement, ...]


def alternatives(predicates: Sequence[Predicate]) -> Iterator[Requirements]:
    """Yield lists of requirements: a request that meets one of the lists meets `predicates`. There
    may be very many."""
    return _all_of([(predicate, True) for predicate in predicates])


def _all_of(wanted: Sequence[tuple[Predicate, bool]]) -> Iterator[Requirements]:
    """Yield the alternatives of several conditions, one at a time."""
    if not wanted:
        yield ()
        return
    (condition, holds), *others = wanted
    for first in _alternatives(condition, holds=holds):
        for rest in _all_of(others):
            yield (*first, *rest)


def _alternatives(condition: Predicate, *, holds: bool) -> Iterator[Requirements]:
    match condition:
        case Not(inner):
            yield from _alternatives(inner, holds=not holds)
        case AllOf(conditions) | AnyOf(conditions):
            each = [(inner, holds) for inner in conditions]
            if isinstance(condition, AllOf) is holds:
                yield from _all_of(each)
            else:
                yield from chain.from_iterable(_all_of([one]) for one in each)
        case _ if holds:
            yield (Requirement(condition, True),)
        case _:
            yield from (((each,)) for each in _opposites(condition))


def _opposites(condition: Predicate) -> Iterator[Requirement]:
    """Yield what to require instead of a condition that must not hold."""
    match condition:
        case CountIs(counter, low, high):
            if low > 1:
                yield Requirement(CountIs(counter, 1, low - 1), True)
            if high is not None:
                yield Requirement(CountIs(counter, high + 1), True)
        case Streams(expected):
            yield Requirement(Streams(not expected), True)
        case NoTools():
            yield Requirement(OffersTool(ANY_TOOL), True)
        case BodyHas(path, None, canonical):
            yield Requirement(BodyHas(path, AllValues(()), canonical), True)
        case _:
            yield Requirement(condition, False)
