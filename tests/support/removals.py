"""Answers from which members were removed at random, as a user writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import strategies as st

Json = Any


@st.composite
def terse(draw: st.DrawFn, answers: st.SearchStrategy[dict[str, Json]]) -> dict[str, Json]:
    """One of the `answers`, without a few of its members at any depth."""
    answer: dict[str, Json] = orjson.loads(orjson.dumps(draw(answers)))
    for _ in range(draw(st.integers(0, 12))):
        places = list(_members(answer))
        if places:
            holder, name = draw(st.sampled_from(places))
            holder.pop(name, None)
    return answer


def _members(value: Json) -> Iterator[tuple[dict[str, Json], str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield value, name
            yield from _members(member)
    elif isinstance(value, list):
        for entry in value:
            yield from _members(entry)


@st.composite
def parts(draw: st.DrawFn, whole: int, names: list[str]) -> dict[str, int]:
    """Counts called `names` that together are at most `whole`."""
    left = whole
    counts = {}
    for name in names:
        counts[name] = draw(st.integers(0, left))
        left -= counts[name]
    return counts
