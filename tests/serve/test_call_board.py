"""The numbers of calls of several processes, and those that die with one."""

from __future__ import annotations

import os
from array import array

from mockllm.serve import call_board
from mockllm.serve.call_board import CallBoard
from tests.support.processes import posix

PROCESSES, CALLS = 4, 5_000


@posix
def test_no_number_is_given_twice() -> None:
    board = CallBoard()
    pipes = []
    for process in range(PROCESSES):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            next_number = board.numbers(process)
            with os.fdopen(writer, "wb") as file:
                file.write(array("Q", [next_number() for _ in range(CALLS)]).tobytes())
            os._exit(0)
        os.close(writer)
        pipes.append((pid, reader))
    given = []
    for pid, reader in pipes:
        with os.fdopen(reader, "rb") as file:
            own = array("Q", file.read()).tolist()
        os.waitpid(pid, 0)
        assert own == sorted(own)
        given += own

    assert sorted(given) == [*range(1, PROCESSES * CALLS + 1)]
    assert board.last_number == PROCESSES * CALLS
    assert [board.bury(process) for process in range(PROCESSES)] == [CALLS] * PROCESSES


def test_calls_of_a_dead_process_are_lost() -> None:
    board = CallBoard()
    first, second = board.numbers(1), board.numbers(2)
    for _ in range(3):
        first()
    second()

    assert board.lost_after(0) == 0
    assert board.bury(1) == 3
    second()
    assert board.bury(2) == 2

    assert [board.lost_after(number) for number in range(6)] == [5, 5, 5, 5, 2, 0]
    assert board.bury(2) == 0


def test_what_is_dropped_or_handed_on_is_not_lost() -> None:
    board = CallBoard()
    next_number = board.numbers(1)
    next_number()
    board.keep(1, 0)
    assert (board.bury(1), board.lost_after(0)) == (0, 0)
    next_number()
    board.keep(1, 7)
    assert (board.bury(1), board.lost_after(0)) == (7, 7)


def test_any_number_of_processes_may_die() -> None:
    board = CallBoard()
    for process in range(call_board.MAX_PROCESSES + call_board.MAX_LOSSES):
        board.numbers(process)()
        board.bury(process)

    assert board.lost_after(0) == board.last_number
    assert board.lost_after(1) == board.last_number - 1
    assert board.lost_after(board.last_number) == 0
