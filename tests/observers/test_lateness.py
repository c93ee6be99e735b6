"""The histogram of lateness: its buckets, its quantiles, and the sum of several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.observers.lateness import BUCKETS, MAX, Lateness, bucket_of, limit_of


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
    assert (lateness().steps, lateness().quantile(0.99), lateness().held) == (0, 0.0, True)


def test_quantiles_are_rounded_up_to_a_bucket() -> None:
    found = lateness(*[0.00042] * 98, 0.02, 3.0)

    assert found.quantile(0.5) == pytest.approx(0.0005)
    assert 0.02 <= found.quantile(0.99) <= 0.025
    assert found.quantile(1.0) == 3.0
    assert found.latest == 3.0


def test_the_schedule_is_held_if_few_steps_are_late() -> None:
    assert lateness(*[0.001] * 99, 1.0).held
    assert not lateness(*[0.001] * 97, 1.0, 1.0, 1.0).held


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_above_its_share_of_the_steps(seconds: list[float], share: float) -> None:
    limit = lateness(*seconds).quantile(share)

    below = sum(each <= limit * (1 + 1e-9) for each in seconds)
    assert below >= share * len(seconds) - 1e-9


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_a_sum_has_the_steps_of_all(one: list[float], other: list[float]) -> None:
    total = Lateness.sum([lateness(*one), lateness(*other)])

    together = lateness(*one, *other)
    assert (total.counts, total.latest) == (together.counts, together.latest)
