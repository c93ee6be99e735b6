"""The histogram of lateness: its buckets, its quantiles, and the sum of several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.observers.lateness import (
    _LATE_AT,
    _STEPS_AT,
    BUCKETS,
    LOADS,
    MAX,
    Lateness,
    bucket_of,
    limit_of,
)


@given(st.floats(0, 200))
def test_a_bucket_has_what_is_below_its_limit(seconds: float) -> None:
    bucket = bucket_of(seconds)

    assert 0 <= bucket < BUCKETS
    assert seconds <= limit_of(bucket) * (1 + 1e-9)
    if bucket:
        assert seconds >= limit_of(bucket - 1) * (1 - 1e-9)


def test_a_step_that_is_early_counts_as_in_time() -> None:
    assert bucket_of(-0.001) == 0


def test_the_last_bucket_has_no_limit() -> None:
    assert limit_of(bucket_of(10 * MAX)) == math.inf


def lateness(*seconds: float) -> Lateness:
    found = Lateness()
    for each in seconds:
        found.add_all([each], 1)
    return found


@given(st.lists(st.floats(-0.001, 0.02) | st.floats(0, 200), max_size=50))
def test_steps_that_are_added_together_are_counted_as_one_by_one(seconds: list[float]) -> None:
    together = Lateness()
    together.add_all(seconds, len(seconds))

    one_by_one = lateness(*seconds)
    assert together._cells == one_by_one._cells
    assert together.counts == [
        sum(bucket_of(each) == bucket for each in seconds) for bucket in range(BUCKETS)
    ]


def test_no_steps_are_not_late() -> None:
    assert (lateness().steps, lateness().quantile(0.99), lateness().is_held) == (0, 0.0, True)


def test_quantiles_are_rounded_up_to_a_bucket() -> None:
    found = lateness(*[0.00042] * 98, 0.02, 3.0)

    assert found.quantile(0.5) == pytest.approx(0.0005)
    assert 0.02 <= found.quantile(0.99) <= 0.025
    assert found.quantile(1.0) == pytest.approx(3.0)
    assert found.latest == pytest.approx(3.0)


def test_the_schedule_is_held_if_few_steps_are_late() -> None:
    assert lateness(*[0.001] * 99, 1.0).is_held
    assert not lateness(*[0.001] * 97, 1.0, 1.0, 1.0).is_held


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_above_its_share_of_the_steps(seconds: list[float], share: float) -> None:
    limit = lateness(*seconds).quantile(share)

    below = sum(each <= limit + 1e-8 for each in seconds)  # the latest has whole nanoseconds
    assert below >= share * len(seconds) - 1e-9


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_a_sum_has_the_steps_of_all(one: list[float], other: list[float]) -> None:
    total = Lateness.sum([lateness(*one), lateness(*other)])

    together = lateness(*one, *other)
    assert (total.counts, total.latest) == (together.counts, together.latest)


def test_answers_are_counted_as_they_begin() -> None:
    found = lateness(0.001)
    for open_answers in (1, 2, 3, 2):
        found.begin(open_answers)

    assert (found.answers, found.most_open) == (4, 3)
    total = Lateness.sum([found, found])
    assert (total.answers, total.most_open, total.steps) == (8, 6, 2)


def test_streams_and_tokens_are_counted() -> None:
    found = Lateness()
    found.begin(1, is_stream=True)
    found.begin(2)
    found.add_all([0.02, 0.01, 0.0], 7)
    found.add_all([], 0)

    assert (found.answers, found.streams, found.steps, found.tokens) == (2, 1, 3, 7)
    assert found.latest == pytest.approx(0.02)


def test_the_longest_stall_and_the_work_are_those_of_all_processes() -> None:
    one, other = Lateness(), Lateness()
    for found, stall, work in ((one, 0.02, 0.3), (other, 0.05, 0.9)):
        found.stall(stall)
        found.stall(0.001)
        found.work(work, of=1.0)

    total = Lateness.sum([one, other])

    assert (one.longest_stall, total.longest_stall) == pytest.approx((0.02, 0.05))
    assert (one.cpu_share, total.cpu_share) == pytest.approx((0.3, 0.6))
    assert Lateness().cpu_share == 0.0


def at_loads(*loads: tuple[int, int, int]) -> Lateness:
    """A histogram of steps at loads: so many open answers, steps in time and late ones."""
    found = Lateness()
    for open_answers, in_time, late in loads:
        found.begin(open_answers)
        found.add_all([0.0] * in_time, in_time)
        found.add_all([0.5] * late, late)
    return found


@pytest.mark.parametrize(
    ("loads", "above"),
    [
        ([], 0),
        ([(1, 100, 0)], 0),
        ([(1, 0, 100)], 0),
        ([(100, 1000, 0), (300, 100, 900)], 255),
        ([(100, 1000, 5), (300, 100, 900), (700, 0, 900)], 255),
        ([(2, 5, 2), (300, 1000, 900)], 255),  # a start is not to blame
        ([(10**9, 0, 100)], 65_535),
    ],
)
def test_it_says_up_to_which_load_the_steps_were_in_time(
    loads: list[tuple[int, int, int]], above: int
) -> None:
    found = at_loads(*loads)

    assert found.late_above == above
    assert Lateness.sum([found, found, Lateness()]).late_above == 2 * above


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 50), st.integers(0, 50))))
def test_steps_are_counted_once_at_some_load(loads: list[tuple[int, int, int]]) -> None:
    found = at_loads(*loads)

    assert found.steps == sum(found._cells[_STEPS_AT : _STEPS_AT + LOADS])
    assert found.steps == sum(in_time + late for _, in_time, late in loads) == found.tokens
    assert sum(found._cells[_LATE_AT : _LATE_AT + LOADS]) == sum(late for *_, late in loads)
