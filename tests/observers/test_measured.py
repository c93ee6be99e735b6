"""What is measured of answers that take time."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.engine.decision import End
from mockllm.engine.limiting import ALL, Sent
from mockllm.observers.metric_cells import (
    INPUT,
    ITL,
    LATE_SUM,
    OUTPUT,
    QUEUE_TIME,
    RUNNING,
    STREAMS,
    TTFT,
    WAITING,
)
from mockllm.observers.metric_sums import cumulative
from tests.support.metered import Metered, chat


def test_a_paced_stream_is_measured_as_it_is_sent() -> None:
    metered = Metered()
    steps: list[tuple[Any, int]] = []
    measured = metered.begin(chat("late", stream=True))
    measured.count_steps = lambda dues, tokens: steps.append((dues, tokens))
    assert (metered.cell(RUNNING), metered.cell(STREAMS)) == (1, 1)
    measured.begin()
    metered.now += 1.0
    measured.count([metered.now - 0.002], 1)
    metered.now += 0.06
    measured.count([metered.now - 0.001, metered.now], 3)
    measured.count([], 0)
    measured.end(200, End.COMPLETE, 0.9, 1.06, ALL)

    assert [tokens for _, tokens in steps] == [1, 3, 0]
    (group,) = metered.sums.groups
    assert (group.cells[RUNNING], group.cells[STREAMS]) == (0, 0)
    first, first_sum = cumulative(TTFT, group.cells)
    assert (first[-1], round(first_sum, 6)) == (1, 1.0)
    between, between_sum = cumulative(ITL, group.cells)
    assert (between[-1], round(between_sum, 6)) == (3, 0.06)
    assert round(metered.sums.scalars[LATE_SUM] / 1e9, 6) == 0.003
    assert [*metered.sums.requests.values()] == [1]


def test_an_answer_waits_and_begins() -> None:
    metered = Metered()
    measured = metered.begin(chat("late", stream=True))
    measured.wait()
    assert [metered.cell(each) for each in (RUNNING, STREAMS, WAITING)] == [0, 0, 1]
    metered.now += 2.0
    measured.begin()
    assert [metered.cell(each) for each in (RUNNING, STREAMS, WAITING)] == [1, 1, 0]
    measured.end(200, End.COMPLETE, 2.0, 2.0, ALL)

    (group,) = metered.sums.groups
    assert cumulative(QUEUE_TIME, group.cells)[1] == 2.0
    assert [group.cells[each] for each in (RUNNING, STREAMS, WAITING)] == [0, 0, 0]


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_that_is_discarded_leaves_nothing(waits: bool) -> None:
    metered = Metered()
    measured = metered.begin(chat("late", stream=True))
    if waits:
        measured.wait()
    measured.discard()

    assert metered.sums.groups == []
    assert metered.sums.requests == {}


@pytest.mark.parametrize(
    ("sent", "tokens"), [(ALL, 5), (Sent(tokens=2), 2), (Sent(tokens=9), 5), (Sent(0.4), 2)]
)
def test_of_a_cut_answer_the_tokens_count_that_were_sent(sent: Sent, tokens: int) -> None:
    metered = Metered()
    measured = metered.begin(chat("long", stream=True))
    measured.end(200, End.CUT, 0.1, 0.2, sent)

    assert (metered.cell(INPUT), metered.cell(OUTPUT)) == (70, tokens)
    assert next(iter(metered.sums.requests)).end is End.CUT


def test_a_fault_is_noted_of_its_mock() -> None:
    metered = Metered()
    metered.begin(chat("broken", stream=True)).end(200, End.CUT, 0.1, 0.2, Sent(tokens=1))

    (requests,) = metered.sums.requests
    assert (requests.mock, requests.is_broken) == ("broken", True)
