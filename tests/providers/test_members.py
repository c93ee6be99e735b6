from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.providers.members import fill_in

DEFAULTS = {"id": 0, "role": 0, "content": 0}

names = st.sampled_from(["id", "role", "content", "x", "y", "z"])
objects = st.dictionaries(names, st.none() | st.integers(1))
tails = st.none() | st.lists(st.sampled_from(["x", "y"]), unique=True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([], ["id", "role", "content"]),
        (["content"], ["id", "role", "content"]),
        (["id", "content"], ["id", "role", "content"]),
        (["content", "id"], ["content", "id", "role"]),
        (["x"], ["id", "role", "content", "x"]),
        (["role", "x"], ["id", "role", "content", "x"]),
    ],
)
def test_an_absent_member_follows_its_predecessor(written: list[str], expected: list[str]) -> None:
    assert list(fill_in(dict.fromkeys(written, 1), DEFAULTS)) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["x"], ["x", "id", "role", "content"]),
        (["role", "x"], ["id", "role", "x", "content"]),
        (["x", "role"], ["x", "id", "role", "content"]),
        (["calls"], ["id", "role", "content", "calls"]),
        (["role", "x", "calls"], ["id", "role", "x", "content", "calls"]),
    ],
)
def test_an_unknown_member_stays_with_the_one_before_it(
    written: list[str], expected: list[str]
) -> None:
    assert list(fill_in(dict.fromkeys(written, 1), DEFAULTS, followed_by=["calls"])) == expected


def test_a_written_null_is_not_absent() -> None:
    assert fill_in({"id": None}, {"id": 0}) == {"id": None}


@given(objects, tails)
def test_what_is_written_keeps_its_order_and_values(
    written: dict[str, int | None], followed_by: list[str] | None
) -> None:
    filled = fill_in(written, DEFAULTS, followed_by=followed_by)

    assert [item for item in filled.items() if item[0] in written] == list(written.items())
    assert set(filled) == set(written) | set(DEFAULTS)


@given(objects, tails)
def test_filling_in_twice_changes_nothing(
    written: dict[str, int | None], followed_by: list[str] | None
) -> None:
    once = fill_in(written, DEFAULTS, followed_by=followed_by)

    again = fill_in(once, DEFAULTS, followed_by=followed_by)

    assert list(again.items()) == list(once.items())
