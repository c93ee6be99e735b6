"""Numbers of tokens, and indices, in answers whose members may have any type."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.counts import MAX_TOKENS, count, indices, repeated_indices, sum_counts


@pytest.mark.parametrize("value", [0, 5, MAX_TOKENS - 1])
def test_a_number_of_tokens_is_a_count(value: int) -> None:
    assert count(value) == value


@pytest.mark.parametrize("value", [None, -1, 0.5, 5.0, True, "5", [5], MAX_TOKENS])
def test_other_values_are_no_counts(value: Any) -> None:
    assert count(value) is None


def test_only_counts_are_added_up() -> None:
    assert sum_counts([1, None, "2", True, -3, 4]) == 5


@pytest.mark.parametrize(
    ("entries", "filled_in"),
    [
        ([], []),
        ([{}, {}, "odd"], [0, 1, 2]),
        ([{"index": 0}, {}], [1]),
        ([{}, {"index": 0}, {"index": 2}, {}], [1, 3]),
        ([{"index": None}, {"index": "0"}, {}], [0]),
    ],
)
def test_missing_indices_are_those_that_are_free(entries: list[Any], filled_in: list[int]) -> None:
    pairs = zip(entries, indices(entries), strict=True)

    assert [
        index for entry, index in pairs if not (isinstance(entry, dict) and "index" in entry)
    ] == filled_in


@pytest.mark.parametrize(
    ("entries", "repeated"),
    [
        ([{"index": 0}, {"index": 1}, {"index": 0}, {"index": 0}], {2: 0, 3: 0}),
        ([{"index": 1}, "x", {}, {"index": "1"}, {"index": 1}], {4: 0}),
        ([], {}),
        ("x", {}),
        (None, {}),
    ],
)
def test_an_index_that_an_earlier_entry_has_is_repeated(
    entries: Any, repeated: dict[int, int]
) -> None:
    assert repeated_indices(entries) == repeated
