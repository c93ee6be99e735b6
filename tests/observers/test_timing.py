"""What is said of the times of paced answers."""

from __future__ import annotations

import pytest

from mockllm.observers.lateness import Lateness
from mockllm.observers.timing import Timing, as_object, as_rows, verdict


def test_it_is_a_value_an_object_and_a_table() -> None:
    found = Lateness()
    found.begin(1, is_stream=True)
    found.add_all([0.00042] * 99, 300)
    found.add_all([0.0083], 12)
    found.stall(0.0021)
    found.work(0.5, of=2.0)

    timing = Timing.of(found)

    assert timing.held
    assert (timing[:5], timing.verdict) == ((1, 1, 1, 100, 312), "held the schedule")
    assert timing[5:10] == pytest.approx((0.0005, 0.0005, 0.0083, 0.0021, 0.25))
    assert as_object(timing) == {
        "requests": 1,
        "streams": 1,
        "most_open": 1,
        "steps": 100,
        "tokens": 312,
        "late_ms": {"p50": 0.5, "p99": 0.5, "max": 8.3},
        "longest_stall_ms": 2.1,
        "cpu_share": 0.25,
        "verdict": "held the schedule",
    }
    assert dict(as_rows(timing)) == {
        "paced answers": "1 (1 streams), 1 open at most",
        "steps": "100 with 312 tokens",
        "late by": "0.5 ms (p50), 0.5 ms (p99), 8.3 ms (max)",
        "loop": "longest stall 2.1 ms, 25% of a core",
        "verdict": "held the schedule",
    }


def test_a_server_that_is_late_says_above_which_load() -> None:
    found = Lateness()
    found.begin(100)
    found.add_all([0.0] * 100, 100)
    found.begin(2000)
    found.add_all([0.5] * 100, 100)

    assert not Timing.of(found).held
    assert verdict(found) == (
        "late: above 1,023 open answers, delays are the mock server's own; use more --workers or "
        "fewer clients"
    )


def test_a_server_that_is_late_with_any_load_names_none() -> None:
    found = Lateness()
    found.begin(1)
    found.add_all([0.5], 1)

    assert verdict(found).startswith("late: delays are the mock server's own; ")


def test_nothing_is_said_of_what_is_not_paced() -> None:
    timing = Timing.of(Lateness())

    assert (timing.requests, timing.held, timing.verdict) == (0, True, "no answer was paced")
