"""What traffic does to one request: levels, draws, and times between two latencies."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.config.rate_limit import RateLimit
from mockllm.engine import effects
from mockllm.engine.decision import Answer
from mockllm.engine.effects import (
    NO_EFFECTS,
    Effects,
    Held,
    Traffic,
    TrafficEntry,
    decide,
    hold,
)
from mockllm.engine.limiting import compile_rate_limit
from mockllm.engine.pace import Pace
from mockllm.exchange import Pacing, PoolRule
from mockllm.matching.rule import Rule
from mockllm.prompt import NOT_STREAMED, Prompt
from mockllm.providers import APIS

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


LIMIT = compile_rate_limit(RateLimit(rpm=1), "key", APIS[0])
entries = st.builds(
    TrafficEntry,
    rule=st.just(RULE),
    name=st.sampled_from(["", "", "named"]),
    begin=st.sampled_from([0.0, 0.0, 5.0]),
    end=st.sampled_from([None, None, 9.0]),
    ramp=st.sampled_from([0.0, 0.0, 3.0]),
    chance=st.sampled_from([1.0, 1.0, 0.5]),
    error=st.sampled_from([None, ERROR]),
    has_latency=st.booleans(),
    limit=st.sampled_from([None, LIMIT]),
)


def elapsed(since_start: float | None, name: str) -> float | None:
    """How long an entry lasts: since somebody started it, if it has a name and was not stopped, or
    since the server runs."""
    return since_start if name else 7.0


@given(st.lists(entries, max_size=3), st.lists(st.none() | st.floats(0, 20), max_size=5))
def test_effects_that_are_constant_are_those_at_any_time(
    written: list[TrafficEntry], times: list[float | None]
) -> None:
    placed = [
        replace(entry, rule=Rule(number, "traffic", stateful=True))
        for number, entry in enumerate(written)
    ]
    traffic, api = Traffic(placed), APIS[0]
    prompt = Prompt(api.name, "m", (), NOT_STREAMED, {})

    constant = traffic.select(prompt, {}, api.vendor.limits).constant

    assert (constant is not None) == all(entry.is_constant for entry in placed)
    for time in times if constant is not None else ():
        held = hold(placed, partial(elapsed, time))
        assert decide(held, {}) == constant
        assert constant.unlimited == constant._replace(limit=None)


def test_few_combinations_of_entries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "MAX_COMBINATIONS", 2)
    traffic = Traffic([])
    for number in range(9):
        entry = TrafficEntry(Rule(number, "traffic"), has_latency=True)
        assert traffic._constant_of((entry,)) == Effects(latency=entry)
        assert len(traffic._constant) <= 2


def test_only_limits_of_amounts_need_the_costs_of_a_request() -> None:
    api = APIS[0]
    prompt = Prompt(api.name, "m", (), NOT_STREAMED, {})
    for words, costs in ((RateLimit(concurrent=1), {}), (RateLimit(rpm=1), {"rpm": 1})):
        entry = TrafficEntry(Rule(0, "traffic"), limit=compile_rate_limit(words, "key", api))
        exposure = Traffic([entry]).select(prompt, {}, api.vendor.limits)
        assert exposure.entries == (entry,)
        assert {**exposure.costs, **costs} == exposure.costs
        assert bool(exposure.costs) == bool(costs)
