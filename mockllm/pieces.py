"""Work in pieces, so that no request holds the loop for long: others are answered between them.

Whatever may take long is a generator that yields at its pauses. What drives it decides how many
pieces are done at once; `finish` does all, where nobody waits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")

AT_ONCE = 250  # entries of a list that are made without a pause: 1 to 3 ms

Pieces = Generator[bool, None, _T]
"""Work with pauses, and its result. It yields True before a piece that may take long and cannot be
divided, else False."""


def finish(pieces: Pieces[_T]) -> _T:
    """Return the result of `pieces`, done without a pause."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: _T = end.value
            return result


def drain(values: Iterable[_T], at_once: int = AT_ONCE) -> Pieces[list[_T]]:
    """Return `values` in a list, with a pause after each `at_once` of them."""
    rest, made = iter(values), list[_T]()
    while True:
        some = list(islice(rest, at_once))
        made += some
        if len(some) < at_once:
            return made
        yield False
