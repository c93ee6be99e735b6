"""Keys of draws: repeatable, and independent of the order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.state.attempts import Attempt, attempt_at
from mockllm.state.draws import MAX_COUNTED, Draws

ATTEMPT = attempt_at("/v1/chat/completions", b"{}", None)


def test_equal_requests_have_different_keys_one_after_the_other() -> None:
    one, other = Draws(), Draws()

    keys = [one.next_key(0, "s", "mock", ATTEMPT) for _ in range(100)]

    assert len(set(keys)) == 100
    assert keys == [other.next_key(0, "s", "mock", ATTEMPT) for _ in range(100)]
    assert all(0 <= key < 2**64 for key in keys)


@pytest.mark.parametrize(
    "other",
    [
        (1, "s", "mock", ATTEMPT),
        (0, "t", "mock", ATTEMPT),
        (0, "s", "kcom", ATTEMPT),
        (0, "smock", "", ATTEMPT),
        (0, "s", "mock", ATTEMPT._replace(retry=1)),
        (0, "s", "mock", attempt_at("/v1/chat/completions", b"{ }", None)),
        (0, "\udcff", "\udcff", ATTEMPT),
    ],
)
def test_whatever_differs_has_another_key(other: tuple[int, str, str, Attempt]) -> None:
    assert Draws().next_key(0, "s", "mock", ATTEMPT) != Draws().next_key(*other)


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_keys_do_not_depend_on_what_else_arrives(arrivals: list[str]) -> None:
    mixed = Draws()
    keys: dict[str, list[int]] = {}
    for name in arrivals:
        keys.setdefault(name, []).append(mixed.next_key(0, "s", name, ATTEMPT))

    for name, found in keys.items():
        alone = Draws()
        assert found == [alone.next_key(0, "s", name, ATTEMPT) for _ in found]


def test_only_so_many_requests_are_counted() -> None:
    draws = Draws()
    first = draws.next_key(0, "s", "first", ATTEMPT)

    for number in range(MAX_COUNTED):
        draws.next_key(number + 1, "s", "mock", ATTEMPT)

    assert len(draws._counts) <= MAX_COUNTED
    assert draws.next_key(0, "s", "first", ATTEMPT) == first  # counted anew
