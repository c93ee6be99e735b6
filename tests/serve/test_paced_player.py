"""Paced answers, in time that passes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.decision import End
from mockllm.exchange import Ending, EndingKind, PoolRule
from mockllm.http1.framing import PAUSE, Frame
from mockllm.serve.clock import MAX_TICK, RESOLUTION
from mockllm.serve.player import MAX_UNSENT
from mockllm.wire import placeholders
from tests.support.goldens import FRESH
from tests.support.manual_time import ALONE, Answer, ManualTime, frames_of, pacing


def played(
    *tokens: int, ttft: float = 0.5, itl: float = 0.01, speed: float = 1.0
) -> list[tuple[float, bytes]]:
    time = ManualTime()
    answer = Answer(time, time.clock(speed=speed), pacing(ttft, itl), frames_of(*tokens))
    time.run()
    assert answer.is_over
    return answer.peer.got


def test_a_step_is_due_when_its_last_token_is_complete() -> None:
    assert played(1, 2, 1) == [(0.5, b"0 "), (0.52, b"1 "), (0.53, b"2 ")]


def test_what_precedes_the_first_token_is_due_at_once() -> None:
    assert played(0, 0, 1, 1) == [(0.0, b"0 1 "), (0.5, b"2 "), (0.51, b"3 ")]


def test_what_follows_a_token_comes_with_it() -> None:
    assert played(1, 0, 0, 1, 0) == [(0.5, b"0 1 2 "), (0.51, b"3 4 ")]


def test_a_whole_answer_waits_for_its_last_token() -> None:
    assert played(101) == [(1.5, b"0 ")]


def test_the_first_step_with_several_tokens_waits_for_the_last_of_them() -> None:
    assert played(3, 1) == [(0.52, b"0 "), (0.53, b"1 ")]


def test_speed_applies_to_all_times() -> None:
    assert played(1, 2, 1, speed=0.1) == [(5.0, b"0 "), (5.2, b"1 "), (5.3, b"2 ")]


def test_steps_without_a_time_leave_in_one_write() -> None:
    assert played(0, 1, 1, 1, ttft=0.0, itl=0.0) == [(0.0, b"0 1 2 3 ")]


def test_a_pause_comes_before_its_frame() -> None:
    time = ManualTime()
    frames = [Frame(0.0, b"a", None, 1), Frame(2.0, b"b", None, 1), Frame(0.0, b"c", None, 1)]
    answer = Answer(time, time.clock(), pacing(), frames)

    time.run()

    assert answer.peer.got == [(0.5, b"a"), (2.51, b"b"), (2.52, b"c")]


def test_late_steps_leave_in_one_write_and_delay_no_other() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1, 1, 1, 1))
    time.run(0.505)

    time.stall(0.02)
    time.run()

    assert answer.peer.got == [(0.5, b"0 "), (0.525, b"1 2 "), (0.53, b"3 "), (0.54, b"4 ")]


def test_a_late_first_token_does_not_delay_the_others() -> None:
    time = ManualTime()
    rule = PoolRule(concurrency=2, slowdown=2.0)
    answer = Answer(time, time.clock(), pacing(rule=rule), frames_of(1, 1, 1))
    time.run(0.1)

    time.stall(0.405)
    time.run()

    assert answer.peer.got == [(0.505, b"0 "), (0.51, b"1 "), (0.52, b"2 ")]


@given(st.lists(st.integers(0, 4), min_size=1), st.data())
def test_every_byte_comes_in_order_and_none_too_early(
    tokens: list[int], data: st.DataObject
) -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(*tokens))
    while time.timers:
        time.run(time.now + data.draw(st.sampled_from([0.004, 0.1, 0.3])))
        time.stall(data.draw(st.sampled_from([0.0, 0.0, 0.05])))

    due, seen, position = [], 0, 0
    for number in tokens:
        seen += number
        due.append(0.5 + 0.01 * (seen - 1) if seen else 0.0)
    for at, written in answer.peer.got:
        for place in map(int, written.split()):
            assert place == position
            assert at >= due[place] - 1e-6
            position += 1
    assert position == len(tokens)


# --- Ends -----------------------------------------------------------------------------------------


def test_the_end_is_reported_before_the_last_write_can_be_read() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1))
    time.run(0.505)
    assert (answer.ends, answer.is_over) == ([], False)

    time.run()

    assert (answer.ends, answer.is_over, time.timers) == ([End.COMPLETE], True, 0)


def test_an_answer_that_is_cut_ends_as_its_kind_says() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1), ending=Ending(EndingKind.CUT))

    time.run()

    assert (answer.ends, answer.kind) == ([End.CUT], EndingKind.CUT)


def test_a_frame_may_be_cut() -> None:
    time = ManualTime()
    frames = [Frame(0.0, b"a", None, 1), Frame(0.0, b"b%b|" % placeholders.UNIQUE_ID, 21, 1)]
    answer = Answer(time, time.clock(), pacing(), frames, ending=Ending(EndingKind.CUT, 22))

    time.run()

    assert answer.peer.got == [(0.5, b"a"), (0.51, b"b" + FRESH.unique_id)]


@pytest.mark.parametrize("rule", [ALONE, PoolRule(concurrency=2, slowdown=2.0)])
def test_an_answer_may_end_at_a_time(rule: PoolRule) -> None:
    time = ManualTime()
    ending = Ending(EndingKind.CUT, time=0.515)
    answer = Answer(time, time.clock(), pacing(rule=rule), frames_of(1, 1, 1), ending=ending)

    time.run()

    assert answer.peer.times == [0.5, 0.51]
    assert (answer.ends, answer.kind, time.now) == ([End.CUT], EndingKind.CUT, 0.515)


def test_an_answer_that_is_over_by_its_time_is_complete() -> None:
    time = ManualTime()
    ending = Ending(EndingKind.CUT, time=9.0)
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1), ending=ending)

    time.run()

    assert (answer.ends, answer.kind) == ([End.COMPLETE], EndingKind.COMPLETE)


def test_the_time_of_an_ending_begins_with_a_place() -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1)
    ending = Ending(EndingKind.HANG, time=0.25)

    first, second = (
        Answer(time, clock, pacing(rule=rule), frames_of(0, 1), ending=ending) for _ in range(2)
    )
    time.run()

    assert (first.peer.got, first.ends) == ([(0.0, b"0 ")], [End.HANG])
    assert (second.peer.got, second.ends) == ([(0.25, b"0 ")], [End.HANG])
    assert time.now == 0.5


def test_nothing_is_over_within_start() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(0.0, 0.0), frames_of(1))

    assert (answer.peer.got, answer.is_over) == ([], False)
    time.run()
    assert answer.is_over


def test_a_peer_that_leaves_is_reported_once_and_sets_no_timer() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1))
    time.run(0.505)

    answer.player.abandon()
    answer.player.abandon()
    time.run()

    assert (answer.ends, answer.is_over, time.timers) == ([End.CLIENT_GONE], False, 0)
    assert answer.peer.times == [0.5]


def test_a_transport_that_closes_gets_nothing_more() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1))
    time.run(0.505)

    answer.peer.is_gone = True
    time.run()

    assert answer.peer.times == [0.5]


def test_frames_that_cannot_be_made_end_the_answer_and_free_its_place() -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(0.0, b"a", None, 1)
        raise ZeroDivisionError

    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1)
    answer = Answer(time, clock, pacing(rule=rule), frames())
    follower = Answer(time, clock, pacing(rule=rule), frames_of(1))

    time.run()

    assert isinstance(answer.errors[0], ZeroDivisionError)
    assert answer.ends == [End.FAILED]
    assert follower.is_over


# --- Pools ----------------------------------------------------------------------------------------


def test_waiting_for_a_place_is_part_of_the_time_to_the_first_token() -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1)

    answers = [Answer(time, clock, pacing(rule=rule), frames_of(0, 1, 1)) for _ in range(3)]
    time.run()

    assert [answer.peer.times for answer in answers] == [
        [0.0, 0.5, 0.51],
        [0.51, 1.01, 1.02],
        [1.02, 1.52, 1.53],
    ]


def test_an_answer_beyond_the_queue_is_refused() -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1, queue=1)

    answers = [Answer(time, clock, pacing(rule=rule), frames_of(1)) for _ in range(3)]
    time.run()

    assert [answer.is_admitted for answer in answers] == [True, True, False]
    assert [answer.is_over for answer in answers] == [True, True, False]


@pytest.mark.parametrize("leaves_at", [0.0, 0.2, 0.505])
def test_one_that_leaves_frees_its_place(leaves_at: float) -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1)
    first, second, third = (
        Answer(time, clock, pacing(rule=rule), frames_of(1, 1)) for _ in range(3)
    )
    time.run(leaves_at)

    second.player.abandon()  # from the queue
    first.player.abandon()
    time.run()

    assert second.peer.got == []
    assert third.peer.times == [round(leaves_at + 0.5, 6), round(leaves_at + 0.51, 6)]


def gaps_of(answer: Answer) -> list[tuple[float, float]]:
    """When each write came, and how long after the one before."""
    return [(later, later - sooner) for sooner, later in pairwise(answer.peer.times)]


def test_open_answers_follow_at_once_when_others_begin_and_end() -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=86, slowdown=5.0)
    one = Answer(time, clock, pacing(0.1, 0.02, rule), frames_of(*[1] * 1000))
    time.run(1.0)

    others = [Answer(time, clock, pacing(0.1, 0.02, rule), frames_of(*[1] * 20)) for _ in range(85)]
    time.run(2.0)

    before = [gap for at, gap in gaps_of(one) if at <= 1.0]
    after = [gap for at, gap in gaps_of(one) if at > 1.1]
    assert before == pytest.approx([0.02] * len(before), abs=1e-3)
    assert after == pytest.approx([0.1] * len(after), abs=1e-3)

    time.run()
    assert all(other.is_over for other in others)
    assert [gap for _, gap in gaps_of(one)][-10:] == pytest.approx([0.02] * 10, abs=1e-3)


# --- Slow peers -----------------------------------------------------------------------------------


def test_a_slow_peer_gets_the_rest_when_it_reads_again() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1, 1, 1))
    time.run(0.505)
    answer.slow_down()
    time.run(0.525)
    assert answer.peer.times == [0.5]

    answer.peer.writable.set()
    answer.player.resume()
    answer.player.resume()
    time.run()

    assert answer.peer.got[1:] == [(0.525, b"1 2 "), (0.53, b"3 ")]


def test_a_slow_peer_gives_its_place_to_the_next() -> None:
    time = ManualTime()
    clock, rule = time.clock(), PoolRule(concurrency=1)
    slow = Answer(time, clock, pacing(rule=rule), frames_of(1, 1, 1))
    follower = Answer(time, clock, pacing(rule=rule), frames_of(1))
    slow.slow_down()

    time.run(10.0)
    assert (slow.is_over, follower.is_over) == (False, True)
    slow.peer.writable.set()
    slow.player.resume()
    time.run()

    assert slow.peer.got == [(10.0, b"0 1 2 ")]
    assert slow.is_over


def test_what_a_peer_delays_is_not_late() -> None:
    time = ManualTime()
    clock = time.clock()
    answer = Answer(time, clock, pacing(), frames_of(1, 1, 1, 1))
    answer.slow_down()
    time.run(0.525)
    answer.peer.writable.set()
    answer.player.resume()
    time.run()

    assert (clock.lateness.steps, clock.lateness.latest < 0.002) == (1, True)


def test_a_slow_peer_that_leaves_leaves_nothing_behind() -> None:
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(1, 1))
    answer.slow_down()
    time.run(1.0)

    answer.player.abandon()

    assert (answer.ends, time.timers) == ([End.CLIENT_GONE], 0)


def test_a_large_answer_leaves_in_pieces_as_the_peer_takes_them() -> None:
    time = ManualTime()
    size = MAX_UNSENT
    frames = [Frame(0.0, bytes(size), None, 1), *(Frame(0.0, bytes(size)) for _ in range(4))]
    answer = Answer(time, time.clock(), pacing(), frames)
    for _ in range(10):
        time.run(1.0)
        answer.slow_down() if answer.peer.got else None
        answer.peer.writable.set()
        answer.player.resume()

    time.run()

    assert sum(len(data) for _, data in answer.peer.got) == 5 * size
    assert max(len(data) for _, data in answer.peer.got) <= 2 * size
    assert answer.is_over


# --- Lateness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[], frames_of(1, 1)], ids=["head", "tokens"])
def test_the_loop_has_its_turn_after_a_pause(before: list[Frame]) -> None:
    time = ManualTime()
    made = 0

    def frames() -> Iterator[Frame]:
        nonlocal made
        yield from before
        for _ in range(5):
            time.stall(2 * MAX_TICK)  # in which a piece is made
            made += 1
            yield PAUSE
        yield Frame(0.0, b"large")

    turns: list[int] = []
    answer = Answer(time, time.clock(), pacing(), frames())
    while not answer.is_over:
        time.run_next()
        turns.append(made)

    assert max(after - begun for begun, after in pairwise([0, *turns])) <= 2
    assert answer.peer.got[-1][1] == b"large"
    assert b"".join(data for _, data in answer.peer.got) == b"".join(
        frame.data for frame in [*before, Frame(0.0, b"large")]
    )


def test_lateness_is_from_when_a_step_was_due() -> None:
    time = ManualTime()
    clock = time.clock()
    Answer(time, clock, pacing(), frames_of(0, 1, 1, 0, 1))
    time.run(0.505)

    time.stall(0.045)  # until 0.55; steps were due at 0.51 and 0.52
    time.run()

    assert (clock.lateness.steps, clock.lateness.tokens) == (3, 3)
    assert clock.lateness.latest == pytest.approx(0.04)
    assert clock.lateness.longest_stall == pytest.approx(0.04 - RESOLUTION)
