"""The histogram of lateness: its buckets, its quantiles, and the sum of several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.observers.lateness import (
    BUCKETS,
    MAX,
    Lateness,
    as_object,
    as_rows,
    bucket_of,
    limit_of,
    verdict,
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
        found.add(each)
    return found


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


def test_what_it_says_is_an_object_and_a_table() -> None:
    found = lateness(*[0.00042] * 99, 0.0083)
    found.begin(1)

    assert as_object(found) == {
        "answers": 1,
        "most_open": 1,
        "steps": 100,
        "late_ms": {"p50": 0.5, "p99": 0.5, "max": 8.3},
        "verdict": "held the schedule",
    }
    assert dict(as_rows(found)) == {
        "paced answers": "1, at most 1 open at once",
        "steps": "100",
        "late by": "0.5 ms (p50), 0.5 ms (p99), 8.3 ms (max)",
        "verdict": "held the schedule",
    }


def test_a_server_that_is_late_says_that_it_was() -> None:
    assert verdict(lateness(0.5)).startswith("late: ")
