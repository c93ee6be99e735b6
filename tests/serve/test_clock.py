"""The clock: one timer for all pools, speed, and the times that a service has measured."""

from __future__ import annotations

import asyncio
from statistics import fmean

import pytest

from mockllm.exchange import Pacing, PoolRule
from mockllm.http1.framing import Frame
from mockllm.serve.clock import Clock
from tests.support.manual_time import Answer, ManualTime, frames_of, pacing

SLOWING = PoolRule("slowing", concurrency=10, slowdown=3.0)


# --- The timer ------------------------------------------------------------------------------------


def test_there_is_no_timer_without_answers() -> None:
    time = ManualTime()
    time.clock()

    assert time.timers == 0


def test_all_pools_share_one_timer() -> None:
    time = ManualTime()
    clock = time.clock()
    rules = [PoolRule(str(number), 5, None, 2.0) for number in range(10)]

    answers = [Answer(time, clock, pacing(rule=rule), frames_of(1, 1)) for rule in rules]
    assert time.timers == 1
    time.run()

    assert all(answer.peer.times == [0.5, 0.51] for answer in answers)
    assert time.timers == 0


def test_an_earlier_deadline_sets_the_timer_anew() -> None:
    time = ManualTime()
    clock = time.clock()
    late = Answer(time, clock, pacing(ttft=9.0), frames_of(1))
    time.run(1.0)

    early = Answer(time, clock, pacing(ttft=1.0), frames_of(1))
    time.run()

    assert (early.peer.times, late.peer.times) == ([2.0], [9.0])


def test_pools_that_are_empty_are_forgotten() -> None:
    time = ManualTime()
    clock = time.clock()
    for number in range(100):
        Answer(time, clock, pacing(rule=PoolRule(str(number), 1, None, 2.0)), frames_of(1))
    Answer(time, clock, pacing(rule=SLOWING), frames_of(1)).player.abandon()

    time.run()

    assert clock._pools == {}


def test_much_that_is_due_at_once_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockllm.serve.clock.MAX_TICK", -1.0)  # over after each answer
    time = ManualTime()
    clock = time.clock()
    answers = [Answer(time, clock, pacing(0.0), frames_of(1, 1)) for _ in range(5)]
    between: list[int] = []

    for _ in range(4):
        time._fire(time.now)
        between.append(sum(bool(answer.peer.got) for answer in answers))
    time.run()

    assert between == [1, 2, 3, 4]
    assert all(answer.peer.times == [0.0, 0.01] for answer in answers)


async def _play_on_a_loop() -> Answer:
    clock = Clock()
    done = asyncio.Event()
    time = ManualTime()  # stands still: only the order is looked at
    answer = Answer(time, clock, Pacing(PoolRule(), 0.01, 0.001), frames_of(1, 1), over=done.set)
    await done.wait()
    return answer


def test_the_timer_is_that_of_the_loop() -> None:
    answer = asyncio.run(_play_on_a_loop())

    assert b"".join(data for _, data in answer.peer.got) == b"0 1 "


# --- Speed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [PoolRule(), SLOWING], ids=["common", "slowing"])
def test_a_change_of_the_speed_applies_to_open_answers(rule: PoolRule) -> None:
    time = ManualTime()
    clock = time.clock()
    answer = Answer(time, clock, pacing(1.0, 1.0, rule), frames_of(1, 1, 1))
    time.run(1.5)

    clock.speed = 10.0
    time.run()

    assert clock.speed == 10.0
    assert answer.peer.times == [1.0, 1.55, 1.65]


def test_speed_applies_to_pools_that_begin_later() -> None:
    time = ManualTime()
    clock = time.clock(speed=2.0)
    answer = Answer(time, clock, pacing(rule=SLOWING), frames_of(1, 1))

    time.run()

    assert answer.peer.times == [0.25, 0.255]


def test_processes_share_the_places_of_a_pool() -> None:
    rule = PoolRule("p", concurrency=3, queue=1)
    admitted = []
    for number in range(2):
        time = ManualTime()
        clock = time.clock(number=number, processes=2)
        answers = [Answer(time, clock, pacing(rule=rule), frames_of(1)) for _ in range(4)]
        admitted.append(sum(answer.is_admitted for answer in answers))

    assert admitted == [2 + 1, 1 + 0]


# --- Measured by a service ------------------------------------------------------------------------

INPUT, OUTPUT = 5000, 500  # tokens
LLAMA_70B = Pacing(
    PoolRule("vllm-70b", concurrency=86, slowdown=5.0), 0.008 + INPUT * 0.00008, 0.0186
)
PER_FRAME = 10  # tokens, so that there are fewer frames; the first has one


def closed_loop(clients: int, rounds: int = 6) -> tuple[float, float]:
    """The mean times to the first token and between tokens, in milliseconds, if so many clients
    each send the next request when they have the answer to the last one."""
    time = ManualTime()
    clock = time.clock()
    rest = [PER_FRAME] * ((OUTPUT - 1) // PER_FRAME)
    frames = [Frame(0.0, b"x", None, tokens) for tokens in (1, *rest, OUTPUT - 1 - sum(rest))]
    done: list[Answer] = []
    left = [rounds] * clients

    def ask(client: int) -> None:
        def over() -> None:
            done.append(answer)
            left[client] -= 1
            if left[client]:
                ask(client)

        answer = Answer(time, clock, LLAMA_70B, frames, over=over)

    for client in range(clients):
        time.run(client * 0.3)  # a load generator ramps up
        ask(client)
    time.run()
    steady = done[clients : -clients or None]  # without those that begin and end alone
    to_first = fmean(answer.peer.times[0] - answer.began for answer in steady)
    between = fmean(
        (answer.peer.times[-1] - answer.peer.times[0]) / (OUTPUT - 1) for answer in steady
    )
    return to_first * 1000, between * 1000


@pytest.mark.parametrize(
    ("clients", "to_first", "between"),
    [
        (1, 407, 18.6),
        (5, 547, 21.8),
        (25, 689, 38.8),
        (50, 835, 59.7),
        (100, 7996, 92.9),
        (150, 34794, 92.9),
        (200, 61680, 93.1),
    ],
)
def test_five_numbers_reproduce_a_measured_service(
    clients: int, to_first: float, between: float
) -> None:
    """Llama-3.3-70B on two H100 (fp8, TP 2), 5,000 tokens in and 500 out, from NVIDIA's NIM
    benchmarking documentation."""
    found = closed_loop(clients)

    assert found[1] == pytest.approx(between, rel=0.15)
    assert found[0] == pytest.approx(to_first, rel=0.2 if clients < 86 else 0.15)


def test_the_time_of_the_server_passes_at_its_speed_since_its_start() -> None:
    time = ManualTime()
    time.now = 100.0
    alone = time.clock(speed=2.0)
    worker = time.clock(speed=2.0, started=70.0)  # forked 30 seconds after the server began
    assert (alone.elapsed(), worker.elapsed()) == (0.0, 60.0)

    time.now = 110.0
    assert (alone.elapsed(), worker.elapsed()) == (20.0, 80.0)
    alone.speed = worker.speed = 10.0
    time.now = 111.0
    assert (alone.elapsed(), worker.elapsed()) == (30.0, 90.0)


# --- The bottleneck -------------------------------------------------------------------------------


def test_the_work_is_that_while_answers_are_open() -> None:
    time = ManualTime()
    clock = time.clock()
    time.work = 50.0  # before the first answer
    for _ in range(2):
        answers = [Answer(time, clock, pacing(1.0, 1.0), frames_of(1, 1)) for _ in range(3)]
        time.run(time.now + 1.5)
        time.work += 0.5
        time.run(time.now + 1.0)
        assert all(answer.is_over for answer in answers)
        time.stall(1000.0)  # without an answer
        time.work += 7.0

    assert clock.lateness.cpu_share == pytest.approx(0.5 / 2.0)
    assert clock.lateness.longest_stall == 0.0


def test_the_work_is_counted_while_answers_are_open_for_long() -> None:
    time = ManualTime()
    clock = time.clock()
    answer = Answer(time, clock, pacing(1.0, 1.0), frames_of(*[1] * 100))
    for _ in range(50):
        time.run(time.now + 1.0)
        time.work += 0.8

    assert clock.lateness.cpu_share == pytest.approx(0.8, abs=0.02)
    assert not answer.is_over


def test_streams_and_whole_answers_are_told_apart() -> None:
    time = ManualTime()
    clock = time.clock()
    for is_stream in (True, False, True):
        Answer(time, clock, pacing(), frames_of(1, 5), is_stream=is_stream)
    time.run()

    assert (clock.lateness.answers, clock.lateness.streams) == (3, 2)
    assert (clock.lateness.steps, clock.lateness.tokens) == (6, 18)


def test_lateness_belongs_to_the_load_at_which_it_was() -> None:
    time = ManualTime()
    clock = time.clock()
    alone = [Answer(time, clock, pacing(), frames_of(*[1] * 50))]
    time.run()
    many = [Answer(time, clock, pacing(), frames_of(*[1] * 50)) for _ in range(40)]
    time.run(time.now + 0.6)
    time.stall(0.2)
    time.run()

    assert all(answer.is_over for answer in (*alone, *many))
    assert clock.lateness.late_above == 31
