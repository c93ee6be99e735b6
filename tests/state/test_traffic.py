"""When the entries of traffic began."""

from __future__ import annotations

from mockllm.state.traffic import TrafficTimes


def test_everything_begins_with_the_server() -> None:
    times = TrafficTimes()

    assert (times.elapsed("outage", 5.0), times.elapsed("", 7.0)) == (5.0, 7.0)


def test_what_is_started_begins_then_and_again() -> None:
    times = TrafficTimes()

    times.start("outage", 10.0)
    assert (times.elapsed("outage", 12.0), times.elapsed("other", 12.0)) == (2.0, 12.0)

    times.start("outage", 20.0)
    assert times.elapsed("outage", 21.0) == 1.0


def test_what_is_stopped_does_not_hold_until_it_is_started() -> None:
    times = TrafficTimes()

    times.stop("outage")
    assert times.elapsed("outage", 5.0) is None

    times.start("outage", 5.0)
    assert times.elapsed("outage", 5.0) == 0.0


def test_what_is_reset_is_as_if_nothing_had_happened() -> None:
    times = TrafficTimes()

    for stops in (False, True):
        times.start("outage", 3.0)
        if stops:
            times.stop("outage")
        times.reset("outage")
        assert times.elapsed("outage", 5.0) == 5.0
    times.reset("never started")


def test_names_that_are_gone_are_forgotten() -> None:
    times = TrafficTimes()
    times.start("stays", 3.0)
    times.stop("goes")

    times.keep({"stays", "new"})

    assert (times.elapsed("stays", 5.0), times.elapsed("goes", 5.0)) == (2.0, 5.0)
