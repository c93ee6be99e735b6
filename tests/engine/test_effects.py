"""What traffic does to one request: levels, draws, and times between two latencies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.decision import Answer
from mockllm.engine.effects import NO_EFFECTS, Effects, Held, TrafficEntry, decide, hold
from mockllm.engine.pace import Pace
from mockllm.exchange import Pacing, PoolRule
from mockllm.matching.rule import Rule

ERROR = Answer({})
RULE = Rule(0, "traffic[0]")
GPU, USUAL = PoolRule("gpu"), PoolRule("usual")
HALF = 1 << 63  # of the keys that are drawn


def paced(pool: PoolRule, ttft: float, itl: float, cv: float, per_token: float) -> Pace:
    return Pace(Pacing(pool, ttft, itl, cv), per_token)


@given(
    begin=st.integers(0, 20),
    lasts=st.integers(1, 20) | st.none(),
    ramp=st.integers(0, 20),
    elapsed=st.integers(-5, 50),
)
def test_an_entry_rises_and_falls_between_its_ends(
    begin: int, lasts: int | None, ramp: int, elapsed: int
) -> None:
    end = None if lasts is None else begin + lasts
    ramp = ramp if lasts is None else min(ramp, lasts)
    entry = TrafficEntry(RULE, begin=begin, end=end, ramp=ramp)

    level = entry.level(elapsed)

    assert 0.0 <= level <= 1.0
    if elapsed < begin or (end is not None and elapsed >= end):
        assert level == 0.0
    elif not ramp or (elapsed >= begin + ramp and (end is None or elapsed <= end - ramp)):
        assert level == pytest.approx(1.0)
    else:
        left = elapsed - begin if end is None else min(elapsed - begin, end - elapsed)
        assert level == pytest.approx(min(1.0, left / ramp))


def test_what_is_stopped_never_happens_or_has_not_begun_does_not_hold() -> None:
    stopped, never = TrafficEntry(RULE, "stopped"), TrafficEntry(RULE, chance=0.0)
    later, now = TrafficEntry(RULE, begin=5.0), TrafficEntry(RULE, "now")

    held = hold([stopped, never, later, now], lambda name: None if name == "stopped" else 1.0)

    assert held == [Held(now, 1.0)]


@pytest.mark.parametrize(
    ("entry", "level", "expected"),
    [
        (TrafficEntry(RULE, error=ERROR), 1.0, False),
        (TrafficEntry(RULE, error=ERROR, chance=0.5), 1.0, True),
        (TrafficEntry(RULE, error=ERROR), 0.5, True),
        (TrafficEntry(RULE, has_latency=True), 0.5, False),
        (TrafficEntry(RULE, has_latency=True, chance=0.5), 0.5, True),
    ],
)
def test_only_what_depends_on_chance_is_drawn(
    entry: TrafficEntry, level: float, expected: bool
) -> None:
    assert Held(entry, level).is_drawn is expected


def test_a_draw_is_compared_with_the_chance_as_far_as_it_has_risen() -> None:
    entry = TrafficEntry(RULE, error=ERROR, has_latency=True, chance=0.75)

    def drawn(key: int, level: float) -> Effects:
        return decide([Held(entry, level)], {entry: key})

    assert drawn(HALF, 1.0) == Effects(error=entry)
    assert drawn(HALF, 0.5) == Effects(latency=entry, level=0.5)  # the error has not risen so far
    assert drawn(HALF + HALF // 2, 1.0) == NO_EFFECTS
    assert drawn(0, 0.01).error is entry


@given(level=st.floats(0.01, 1))
def test_times_are_between_the_usual_ones_and_those_of_the_entry(level: float) -> None:
    usual = paced(USUAL, 1.0, 0.1, 0.5, 0.01)
    risen = paced(GPU, 3.0, 0.2, 0.0, 0.03)
    entry = TrafficEntry(RULE, has_latency=True, pace=risen)

    answer, labels = Effects(latency=entry, level=level).pace(Answer({}, pace=usual))

    assert answer.pace is not None
    assert labels == ("traffic[0]",)
    found = answer.pace.pacing
    assert found.pool == GPU
    assert found.ttft == pytest.approx(1.0 + 2.0 * level)
    assert found.itl == pytest.approx(0.1 + 0.1 * level)
    assert found.cv == pytest.approx(0.5 - 0.5 * level)
    assert answer.pace.per_token == pytest.approx(0.01 + 0.02 * level)


def test_a_latency_rises_from_nothing_and_to_nothing() -> None:
    pace = paced(GPU, 2.0, 0.2, 0.0, 0.0)
    slow = TrafficEntry(RULE, has_latency=True, pace=pace)
    instant = TrafficEntry(RULE, has_latency=True)

    from_nothing, _ = Effects(latency=slow, level=0.25).pace(Answer({}))
    to_nothing, _ = Effects(latency=instant, level=0.25).pace(Answer({}, pace=pace))
    nothing, _ = Effects(latency=instant, level=0.25).pace(Answer({}))

    assert from_nothing.pace == paced(GPU, 0.5, 0.05, 0.0, 0.0)
    assert to_nothing.pace is not None
    assert to_nothing.pace.pacing.ttft == pytest.approx(1.5)
    assert nothing.pace is None
    assert Effects(latency=instant).pace(Answer({}, pace=pace))[0].pace is None
