"""Numbers of tokens in configured answers, whose members may have any type.

Knows which values can be calculated with. It does not know the names of any counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count as count_from
from typing import Any

MAX_TOKENS = 2**53  # up to here every JSON reader counts exactly


def count(value: Any) -> int | None:
    """A number of tokens; None for any other value."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < MAX_TOKENS else None


def sum_counts(values: Iterable[Any]) -> int:
    """The sum of those values that are counts."""
    return sum(count(value) or 0 for value in values)


def repeated_indices(entries: Any) -> dict[int, int]:
    """The positions of entries whose `index` an earlier one has, each with the position of the
    first that has it; none if `entries` is not a list."""
    first: dict[int, int] = {}
    repeated: dict[int, int] = {}
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        index = entry.get("index") if isinstance(entry, dict) else None
        if isinstance(index, int) and first.setdefault(index, at) != at:
            repeated[at] = first[index]
    return repeated


def indices(entries: list[Any]) -> Iterator[int]:
    """For each entry the `index` to fill in: the first ones that no entry has written."""
    written = [entry.get("index") for entry in entries if isinstance(entry, dict)]
    taken = {index for index in written if isinstance(index, int)}
    free = (index for index in count_from() if index not in taken)
    for entry in entries:
        has_index = isinstance(entry, dict) and "index" in entry
        yield 0 if has_index else next(free)
