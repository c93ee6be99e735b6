"""The work that is done between pauses, which is counted and not timed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TypeVar

from mockllm.pieces import Pieces

_T = TypeVar("_T")


def count_work(pieces: Iterator[bool]) -> list[int]:
    """Do `pieces`, and return the number of calls of functions, in Python and in C, in each of
    them."""
    counts: list[int] = []
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    profile = sys.getprofile()
    is_over = False
    while not is_over:
        calls = 0
        sys.setprofile(count)
        try:
            is_over = next(pieces, None) is None
        finally:
            sys.setprofile(profile)
        counts.append(calls)
    return counts


def count_pauses(pieces: Pieces[_T]) -> tuple[_T, int]:
    """Do `pieces`, and return their result and the number of their pauses."""
    pauses = 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1
