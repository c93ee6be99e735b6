"""The memory in which processes count their metrics."""

from __future__ import annotations

import os
import signal

from mockllm.observers.metric_cells import ALIVE, HITS, OTHER_NAME
from mockllm.serve.metrics_board import MAX_MOCKS, PARTS_PER_WORKER, MetricsBoard
from tests.support.processes import posix


def test_there_are_parts_for_workers_and_those_that_they_replace() -> None:
    board = MetricsBoard(2)

    numbers = [board.claim() for _ in range(2 * PARTS_PER_WORKER)]

    assert sorted(numbers) == [*range(2 * PARTS_PER_WORKER)]
    assert board.free == 0
    board.release(numbers[3])
    assert (board.free, board.claim()) == (1, numbers[3])


@posix
def test_what_a_process_has_counted_outlives_it_and_what_it_did_does_not() -> None:
    board = MetricsBoard(2)
    for hits in (3, 4):
        part = board.claim()
        pid = os.fork()
        if pid == 0:
            board.own = part
            meter = board.meter(lambda: 0.0)
            meter.cells[HITS] += hits
            meter._mocks.number_of(f"mock {hits}")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert board.sums().scalars[ALIVE] == 1
        board.release(part)

    sums = board.sums()
    assert (sums.scalars[HITS], sums.scalars[ALIVE]) == (7, 0)
    assert board.meter(lambda: 0.0)._mocks.number_of("mock 4") == 3


@posix
def test_a_process_that_is_stopped_while_it_adds_a_name_stops_no_other() -> None:
    board = MetricsBoard(2)
    names = board.meter(lambda: 0.0)._mocks
    taken, take = os.pipe()
    pid = os.fork()
    if pid == 0:
        with names._lock():
            os.write(take, b"x")
            signal.pause()
    assert os.read(taken, 1) == b"x"

    assert names.number_of("a") == OTHER_NAME
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert names.number_of("a") > OTHER_NAME
    os.close(taken)
    os.close(take)


@posix
def test_processes_add_names_at_the_same_time() -> None:
    board = MetricsBoard(4)
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            names = board.meter(lambda: 0.0)._mocks
            for number in range(MAX_MOCKS + 50):
                while names.number_of(f"mock {number}") == OTHER_NAME and number < MAX_MOCKS:
                    pass
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4

    found = [*board.meter(lambda: 0.0)._mocks.names()]
    assert len(found) == len(set(found)) == MAX_MOCKS
