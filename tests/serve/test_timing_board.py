"""The histograms of several processes, in memory that they share."""

from __future__ import annotations

import os

from mockllm.serve.timing_board import TimingBoard
from tests.support.processes import posix


def test_each_slot_counts_for_itself_and_all_are_added_up() -> None:
    board = TimingBoard(3)
    for slot in range(3):
        board.lateness(slot).begin(1)
        for _ in range(slot + 1):
            board.lateness(slot).add_all([0.001 * slot], 1)

    assert [board.lateness(slot).steps for slot in range(3)] == [1, 2, 3]
    total = board.total()
    assert (total.answers, total.steps, round(total.latest, 6)) == (3, 6, 0.002)


@posix
def test_what_a_process_has_counted_outlives_it() -> None:
    board = TimingBoard(2)
    pid = os.fork()
    if pid == 0:
        board.lateness(1).begin(5)
        board.lateness(1).add_all([0.25], 1)
        os._exit(0)
    os.waitpid(pid, 0)

    total = board.total()
    assert (total.answers, total.most_open, total.steps) == (1, 5, 1)
    assert round(total.latest, 3) == 0.25
