"""Rate limits: never more than the limit and its refill in any period, in any order of events."""

from __future__ import annotations

import math
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.state import rate_limits
from mockllm.state.rate_limits import (
    Bucket,
    Buckets,
    Charge,
    Leases,
    Limit,
    Limited,
    Spent,
    fits,
    refund,
    used_at,
    wait_for,
)

LIMIT = Limit(3, 60.0)
BUCKET = Charge("bucket", LIMIT)

limits = st.builds(
    Limit,
    st.integers(1, 1000) | st.sampled_from([30_000, 2_000_000_000]),
    st.sampled_from([0.06, 6.0, 60.0, 86_400.0]),
)
gaps = st.floats(0, 2).map(lambda share: share**4)  # mostly short ones, in windows
starts = st.sampled_from([0.0, 3e6])  # seconds of a clock


def admitted_within(limit: Limit, events: list[tuple[float, float]]) -> None:
    """Assert that no period between two of the (time, cost) has more than its limit."""
    for first, (begin, _) in enumerate(events):
        total = 0.0
        for at, cost in events[first:]:
            total += cost
            most = limit.amount + limit.refill(at - begin)
            assert total <= most * (1 + 1e-6)


@given(limits, starts, st.lists(st.tuples(gaps, st.floats(0, 1.2)), max_size=60))
def test_no_period_has_more_than_the_limit_and_its_refill(
    limit: Limit, start: float, requests: list[tuple[float, float]]
) -> None:
    buckets, now, admitted = Buckets(), start, []
    for gap, share in requests:
        now += gap * limit.window
        cost = share * limit.amount
        if isinstance(buckets.spend([Charge("b", limit, cost)], now), Spent):
            admitted.append((now, cost))

    admitted_within(limit, admitted)


requests_with_answers = st.lists(
    st.tuples(
        gaps,
        st.floats(0, 1),  # of the limit that is charged
        st.floats(0, 1.5),  # of the charge that the answer costs
        gaps,  # until the answer is over
    ),
    max_size=40,
)


@given(limits, starts, requests_with_answers)
def test_no_period_has_more_when_answers_are_settled_in_any_order(
    limit: Limit, start: float, requests: list[tuple[float, float, float, float]]
) -> None:
    buckets, now, admitted = Buckets(), start, []
    open_answers: list[tuple[float, int, Charge, float, float]] = []

    def settle_until(time: float) -> None:
        while open_answers and open_answers[0][0] <= time:
            end, _, charge, cost, since = heappop(open_answers)
            buckets.settle(charge, cost, since, end)

    for number, (gap, share, used, lasts) in enumerate(requests):
        now += gap * limit.window
        settle_until(now)
        charge = Charge("b", limit, share * limit.amount)
        cost = used * charge.cost
        if isinstance(buckets.spend([charge], now), Spent):
            admitted.append((now, min(cost, charge.cost)))
            end = now + lasts * limit.window
            heappush(open_answers, (end, number, charge, cost, now))

    admitted_within(limit, admitted)


@given(limits, starts, st.lists(st.floats(0, 1), max_size=20))
def test_what_is_refused_passes_after_the_wait_and_not_before(
    limit: Limit, start: float, shares: list[float]
) -> None:
    buckets, now = Buckets(), start
    for share in [1.0, *shares]:
        charge = Charge("b", limit, share * limit.amount)
        result = buckets.spend([charge], now)
        if isinstance(result, Limited):
            assert result.wait is not None
            early = now + result.wait * (1 - 1e-3) - 1e-6 * limit.window
            if early > now:
                assert isinstance(buckets.spend([charge], early), Limited)
            now += result.wait + 1e-9 * max(now, 1.0)
            assert isinstance(buckets.spend([charge], now), Spent)


@given(limits, st.integers(1, 50))
def test_a_client_that_waits_as_told_gets_all_of_the_limit(limit: Limit, requests: int) -> None:
    buckets, now = Buckets(), 0.0
    charge = Charge("b", limit, limit.amount / 4)
    for _ in range(requests):
        result = buckets.spend([charge], now)
        if isinstance(result, Limited):
            assert result.wait is not None
            now += result.wait
            result = buckets.spend([charge], now)
        assert isinstance(result, Spent)

    assert now == pytest.approx(max(requests - 4, 0) / 4 * limit.window)


@given(
    starts,
    st.lists(
        st.tuples(gaps, st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1.2)), max_size=3)),
        max_size=20,
    ),
)
def test_all_charges_are_spent_or_none_as_each_bucket_says(
    now: float, requests: list[tuple[float, list[tuple[int, float]]]]
) -> None:
    sizes = [Limit(3, 60.0), Limit(30_000, 6.0), Limit(7, 86_400.0)]
    buckets, known = Buckets(), [rate_limits.FULL] * 3
    for gap, asked in requests:
        now += gap * 60
        which = [*dict(asked)]
        costs = [dict(asked)[place] * sizes[place].amount for place in which]
        used = tuple([used_at(known[place], sizes[place], now) for place in which])
        of_each = [*zip(which, used, costs, strict=True)]
        refused = [not fits(level, sizes[place], cost) for place, level, cost in of_each]

        found = buckets.spend(
            [Charge(f"{place}", sizes[place], cost) for place, _, cost in of_each], now
        )

        if True in refused:
            first = refused.index(True)
            place, level, cost = of_each[first]
            assert found == Limited(first, used, wait_for(level, sizes[place], cost))
        else:
            assert found == Spent(tuple([level + cost for _, level, cost in of_each]))
            for place, level, cost in of_each:
                known[place] = Bucket(level + cost, now)


@given(limits, st.floats(0, 1), st.floats(0, 1))
def test_an_answer_that_is_settled_at_once_is_charged_what_it_cost(
    limit: Limit, share: float, used: float
) -> None:
    buckets, charge = Buckets(), Charge("b", limit, share * limit.amount)
    buckets.spend([charge], 0.0)
    buckets.settle(charge, used * charge.cost, 0.0, 0.0)

    result = buckets.spend([charge._replace(cost=0.0)], 0.0)

    assert isinstance(result, Spent)
    assert result.used[0] == pytest.approx(used * charge.cost, abs=1e-9 * limit.amount)


def test_a_bucket_is_refilled_continuously() -> None:
    bucket = Bucket(3.0, 100.0)

    assert [used_at(bucket, LIMIT, 100.0 + at) for at in (0, 10, 50, 60, 3600)] == [
        3,
        2.5,
        0.5,
        0,
        0,
    ]


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    assert used_at(Bucket(2.0, 100.0), LIMIT, 90.0) == 2.0


@pytest.mark.parametrize(
    ("limit", "used", "cost", "wait"),
    [
        (Limit(3, 60.0), 3, 1, 20.0),
        (Limit(30_000, 60.0), 14_567, 24_754, 18.642),
        (Limit(500_000, 86_400.0), 498_607, 1398, 0.864),
        (Limit(30_000, 60.0), 0, 162_807, None),
        (Limit(3, 60.0), 1, 1, 0.0),
    ],
)
def test_a_wait_is_the_share_of_the_window_that_is_missing(
    limit: Limit, used: float, cost: float, wait: float | None
) -> None:
    assert wait_for(used, limit, cost) == (wait if wait is None else pytest.approx(wait))


def test_what_has_been_refilled_meanwhile_is_not_given_back_again() -> None:
    limit = Limit(100, 100.0)  # one a second

    assert refund(limit, charged=100, cost=10, seconds=5) == 90
    assert refund(limit, charged=100, cost=10, seconds=50) == 50
    assert refund(limit, charged=100, cost=10, seconds=500) == 0
    assert refund(limit, charged=100, cost=200, seconds=0) == 0


def test_a_bucket_that_was_forgotten_is_not_settled() -> None:
    buckets = Buckets()
    buckets.settle(BUCKET, 0.0, 0.0, 0.0)

    assert len(buckets) == 0


def test_the_bucket_longest_unused_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 3)
    buckets = Buckets()
    for session, name in [(None, "a"), ("s", "b"), (None, "c"), (None, "a"), ("t", "d")]:
        buckets.spend([Charge(name, LIMIT, session=session)], 0.0)

    assert len(buckets) == 3
    full = Spent((1.0,))
    assert buckets.spend([Charge("b", LIMIT, session="s")], 0.0) == full
    assert buckets.spend([Charge("a", LIMIT)], 0.0) == Spent((3.0,))


def test_a_bucket_of_which_nothing_is_used_is_a_full_one() -> None:
    assert used_at(rate_limits.FULL, LIMIT, -math.inf) == 0.0


def test_pools_and_leases_that_are_over_are_not_kept() -> None:
    leases = Leases()
    for number in range(100):
        assert leases.enter(f"pool {number}", f"lease {number}", 1)
        leases.leave(f"lease {number}")

    assert len(leases) == 0
    assert leases._pools.groups() == ()
