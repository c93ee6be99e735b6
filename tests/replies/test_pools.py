"""Pools: time that passes more slowly the more answers are generated, places, and the queue."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import PoolRule
from mockllm.replies.lanes import Lane
from mockllm.replies.pools import Pool, PoolAdmission, SharedPool, factor, share

RULE = PoolRule("p", concurrency=3, queue=1, slowdown=3.0)


@pytest.mark.parametrize(("running", "expected"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 3.0)])
def test_the_factor_grows_from_one_answer_to_full_concurrency(
    running: int, expected: float
) -> None:
    assert factor(RULE, running) == expected


def test_one_place_is_never_slowed_down() -> None:
    assert factor(PoolRule(concurrency=1, slowdown=5.0), 1) == 1.0
    assert factor(PoolRule(), 100) == 1.0


def pool(rule: PoolRule = RULE, speed: float = 1.0) -> Pool[str]:
    return Pool(rule, Lane(0.0, speed), Lane(0.0, speed), speed=speed)


def test_a_pool_has_places_and_a_queue() -> None:
    filled = pool()

    found = [filled.enter(item, 0.0) for item in "abcde"]

    assert found == [*[PoolAdmission.RUNS] * 3, PoolAdmission.WAITS, PoolAdmission.REFUSED]
    assert (filled.running, filled.waiting) == (3, 1)


def test_a_place_goes_to_the_one_that_waits_longest() -> None:
    filled = pool(RULE._replace(queue=None))
    for item in "abcde":
        filled.enter(item, 0.0)

    assert filled.leave("b", 1.0) == "d"
    assert filled.leave("a", 1.0) == "e"
    assert filled.leave("c", 1.0) is None
    assert (filled.running, filled.waiting) == (2, 0)


def test_one_that_leaves_the_queue_frees_its_place_there() -> None:
    filled = pool()
    for item in "abcd":
        filled.enter(item, 0.0)

    assert filled.leave("d", 0.0) is None
    assert filled.leave("d", 0.0) is None
    assert filled.enter("e", 0.0) is PoolAdmission.WAITS
    assert filled.leave("a", 0.0) == "e"


def test_all_answers_follow_when_one_begins_or_ends() -> None:
    filled = pool()
    filled.enter("a", 0.0)
    filled.decode.add(1.0, "a")
    filled.prefill.add(1.0, "a")

    filled.enter("b", 0.0)
    filled.enter("c", 0.0)
    assert filled.decode.next_deadline() == pytest.approx(3.0)
    assert filled.prefill.next_deadline() == pytest.approx(math.sqrt(3.0))

    filled.leave("b", 1.5)  # half of the way
    filled.leave("c", 1.5)
    assert filled.decode.next_deadline() == pytest.approx(2.0)


def test_speed_applies_beside_the_slowdown() -> None:
    filled = pool(speed=10.0)
    filled.enter("a", 0.0)
    filled.enter("b", 0.0)
    filled.decode.add(1.0, "a")
    assert filled.decode.next_deadline() == pytest.approx(0.2)

    filled.set_speed(1.0, 0.1)

    assert filled.decode.next_deadline() == pytest.approx(0.1 + 1.0)


def test_processes_share_the_places() -> None:
    rule = PoolRule("p", concurrency=5, queue=3)

    assert [share(rule, number, 2)[1:3] for number in range(2)] == [(3, 2), (2, 1)]
    assert share(rule, 0, 1) == rule
    assert share(PoolRule(concurrency=1, queue=0), 3, 4)[1:3] == (1, 0)
    assert share(PoolRule(), 1, 4) == PoolRule()


@given(st.integers(1, 200), st.integers(0, 200), st.integers(1, 16))
def test_the_shares_are_the_whole(places: int, queue: int, processes: int) -> None:
    rule = PoolRule("p", concurrency=places, queue=queue)

    shares = [share(rule, number, processes) for number in range(processes)]

    assert sum(each.concurrency or 0 for each in shares) == max(places, processes)
    assert sum(each.queue or 0 for each in shares) == queue


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans()), min_size=1))
def test_there_are_never_more_answers_than_places(moves: list[tuple[str, bool]]) -> None:
    filled = pool()
    inside: list[str] = []  # in order of arrival
    for item, enters in moves:
        if enters and item not in inside:
            if filled.enter(item, 0.0) is not PoolAdmission.REFUSED:
                inside.append(item)
        elif not enters:
            was_running = item in inside[:3]
            follower = filled.leave(item, 0.0)
            waiting = inside[3:]
            assert follower == (waiting[0] if was_running and waiting else None)
            if item in inside:
                inside.remove(item)
                inside.sort(key=lambda each: each in filled._waiting)
        assert filled.running == min(len(inside), 3)
        assert filled.waiting == max(len(inside) - 3, 0)


# --- Shared pools ---------------------------------------------------------------------------------


def test_answers_of_a_shared_pool_wait_until_they_are_let_run() -> None:
    pool: SharedPool[str] = SharedPool(RULE, Lane(0.0), Lane(0.0))

    assert [pool.enter(item, 0.0) for item in "abcd"] == [PoolAdmission.WAITS] * 4
    pool.run("b", 0.0)
    pool.run("a", 0.0)
    pool.leave("a", 0.0)
    pool.leave("c", 0.0)
    pool.leave("c", 0.0)

    assert (pool.running, pool.waiting) == (1, 1)
    assert [pool.is_running(item) for item in "abcd"] == [False, True, False, False]


def test_a_shared_pool_is_slowed_down_by_the_answers_of_all_processes() -> None:
    pool: SharedPool[str] = SharedPool(RULE, Lane(0.0), Lane(0.0), speed=2.0)
    pool.enter("a", 0.0)
    pool.run("a", 0.0)

    pool.set_others(2, 1.0)
    pool.set_others(0, 4.0)

    # alone twice as fast as real time, beside two others three times as slow as that
    assert pool.decode.time_at(5.0) == pytest.approx(2 + 3 * 2 / 3 + 2)
    assert pool.prefill.time_at(5.0) == pytest.approx(2 + 3 * 2 / math.sqrt(3) + 2)
