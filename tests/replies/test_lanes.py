"""Lanes: time that passes at a changing rate, and what is due in it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.replies.lanes import Deadline, Lane


def pop(lane: Lane[str], time: float) -> str | None:
    deadline = lane.pop(time)
    return None if deadline is None else deadline.item


def test_time_passes_at_the_rate_of_each_moment() -> None:
    lane: Lane[str] = Lane(10.0)

    lane.set_rate(0.5, 12.0)
    lane.set_rate(4.0, 14.0)

    assert lane.time_at(15.0) == 10 + 2 + 1 + 4
    assert lane.real_time_of(17.0) == 15.0


def test_items_are_due_in_order() -> None:
    lane: Lane[str] = Lane(0.0)
    for due, item in [(3.0, "c"), (1.0, "a"), (2.0, "b")]:
        lane.add(due, item)

    assert lane.next_deadline() == 1.0
    assert [pop(lane, 2.0) for _ in range(3)] == ["a", "b", None]
    assert len(lane) == 1


def test_items_that_are_due_at_the_same_time_keep_their_order() -> None:
    lane: Lane[str] = Lane(0.0)
    for item in "abc":
        lane.add(1.0, item)
    assert lane.next_deadline() == 1.0
    for item in "def":
        lane.add(1.0, item)

    assert [pop(lane, 1.0) for _ in range(6)] == [*"abcdef"]


def test_a_change_of_the_rate_moves_all_deadlines() -> None:
    lane: Lane[str] = Lane(0.0)
    lane.add(10.0, "a")

    lane.set_rate(0.1, 5.0)

    assert lane.next_deadline() == pytest.approx(55.0)


def test_no_item_is_early_within_a_thousandth_of_a_second() -> None:
    lane: Lane[str] = Lane(0.0)
    lane.add(1.0009, "b")
    lane.add(1.0001, "a")

    assert [pop(lane, 1.0), pop(lane, 1.0005), pop(lane, 1.0005)] == [None, "a", None]
    assert lane.next_deadline() == 1.0009


def test_what_comes_before_the_first_is_the_first() -> None:
    lane: Lane[str] = Lane(0.0)
    lane.add(5.0, "c")
    lane.add(5.0, "d")
    assert lane.next_deadline() == 5.0

    lane.add(1.0, "a")
    assert lane.next_deadline() == 1.0
    lane.add(0.5, "b")
    lane.add(5.0, "e")

    assert [pop(lane, 9.0) for _ in range(6)] == ["b", "a", "c", "d", "e", None]


def test_a_deadline_that_was_popped_can_be_put_again() -> None:
    lane: Lane[str] = Lane(0.0)
    lane.add(1.0, "a")
    lane.add(2.0, "b")
    deadline = lane.pop(1.0)
    assert deadline is not None

    deadline.due = 3.0
    lane.put(deadline)

    assert [pop(lane, 9.0), pop(lane, 9.0), pop(lane, 9.0)] == ["b", "a", None]


def test_a_discarded_item_is_never_due() -> None:
    lane: Lane[str] = Lane(0.0)
    deadline = lane.add(1.0, "a")
    lane.add(2.0, "b")

    lane.discard(deadline)
    lane.discard(deadline)

    assert pop(lane, 5.0) == "b"
    assert (len(lane), lane.next_deadline()) == (0, math.inf)


def test_a_lane_of_discarded_items_has_no_deadline() -> None:
    lane: Lane[str] = Lane(0.0)
    deadlines = [lane.add(due, "a") for due in (1.0, 1.0005, 2.0)]
    assert lane.next_deadline() == 1.0

    for deadline in deadlines:
        lane.discard(deadline)

    assert (len(lane), lane.next_deadline(), lane.pop(9.0)) == (0, math.inf, None)


def test_deadlines_of_discarded_items_are_not_kept_for_long() -> None:
    lane: Lane[int] = Lane(0.0)
    first = lane.add(1.0, -1)

    for item in range(10_000):
        lane.discard(lane.add(1000.0 + item, item))

    assert len(lane._buckets) < 200
    assert lane.pop(1.0) is first


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "discard", "pop", "again", "look"]),
        st.integers(0, 40),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_a_lane_is_a_sorted_list(operations: list[tuple[str, int]]) -> None:
    lane: Lane[int] = Lane(0.0)
    model: list[tuple[float, int, Deadline[int]]] = []  # in order: when due, the number of its add
    for number, (operation, value) in enumerate(operations):
        due = value / 4000  # four in a bucket
        if operation == "add":
            model.append((due, number, lane.add(due, number)))
        elif operation == "discard" and model:
            lane.discard(model.pop(value % len(model))[2])
        elif operation in ("pop", "again"):
            popped = lane.pop(due)
            model.sort(key=lambda entry: entry[:2])
            expected = model.pop(0)[2] if model and model[0][0] <= due else None
            assert popped is expected
            if popped is not None and operation == "again":
                popped.due += due
                lane.put(popped)
                model.append((popped.due, number, popped))
        elif operation == "look":
            assert lane.next_deadline() <= min((entry[0] for entry in model), default=math.inf)
        assert len(lane) == len(model)

    left = []
    while (deadline := lane.pop(math.inf)) is not None:
        left.append(deadline)
    assert left == [entry[2] for entry in sorted(model, key=lambda entry: entry[:2])]


def test_deadlines_may_be_added_and_discarded_between_those_that_are_due() -> None:
    lane: Lane[str] = Lane(0.0)
    later = lane.add(0.0042, "discarded")
    lane.add(0.0041, "c")
    lane.add(0.001, "a")
    seen = []
    for deadline in lane.due_by(0.005):
        seen.append(deadline.item)
        if seen == ["a"]:
            lane.discard(later)
            lane.add(0.0009, "b")  # in a bucket before the next
        if seen == ["a", "b", "c"]:
            deadline.due = 0.0043
            lane.put(deadline)

    assert seen == ["a", "b", "c", "c"]
    assert len(lane) == 0


def test_the_rate_of_a_lane_is_the_last_that_was_set() -> None:
    lane: Lane[str] = Lane(0.0, 2.0)
    lane.set_rate(0.5, 1.0)

    assert lane.rate == 0.5
