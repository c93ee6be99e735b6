"""The sums of what several processes have counted."""

from __future__ import annotations

from mockllm.engine.decision import End, Outcome
from mockllm.observers.metric_cells import (
    API_WORDS,
    DURATION,
    HITS,
    INPUT,
    INPUT_SIZE,
    MAX_GROUPS,
    OTHER_STATUS,
    OUTPUT,
    OUTPUT_SIZE,
    PART_CELLS,
    STOPPED,
    TTFT,
    Key,
    ProcessCells,
    RequestKind,
    base_of,
)
from mockllm.observers.metric_sums import Requests, Sums, cumulative

CHAT = API_WORDS.index("chat")
MATCHED = Key(CHAT, 0, 0, False, 200, 2)


def part() -> ProcessCells:
    return ProcessCells(memoryview(bytearray(PART_CELLS * 8)).cast("Q"))


def test_the_parts_are_added_up() -> None:
    parts = [part(), part()]
    for number, each in enumerate(parts, 1):
        each.cells[HITS] = number
        each.cells[each.series(MATCHED)] = number
        each.cells[base_of(0) + INPUT] = 10 * number

    sums = Sums(parts, ["greet"], ["chat gpt-4o"])

    assert sums.scalars[HITS] == 3
    assert sums.requests == {Requests("chat", "200", Outcome.MOCK, "greet", End.COMPLETE, False): 3}
    (group,) = sums.groups
    assert (group.api, group.model, group.cells[INPUT]) == ("chat", "gpt-4o", 30)


def test_a_row_counts_as_its_requests_would_one_by_one() -> None:
    one = part()
    row = one.row(RequestKind(MATCHED.pack(), 0, 7, 3, True, False))
    assert row is not None
    one.cells[row], one.cells[row + 1] = 4, 2_000_000

    sums = Sums([one], ["greet"], ["chat a model"])

    assert [*sums.requests.values()] == [4]
    (group,) = sums.groups
    assert group.model == "a model"
    assert [group.cells[cell] for cell in (INPUT, OUTPUT, STOPPED)] == [28, 12, 4]
    for histogram in (DURATION, TTFT):
        counts, total = cumulative(histogram, group.cells)
        assert counts == [4] * (len(histogram.bounds) + 1)
        assert round(total, 9) == 0.002


def test_tokens_that_vary_are_added_up_in_their_row() -> None:
    one, expected = part(), [0] * PART_CELLS
    row = one.row(RequestKind(MATCHED.pack(), 0, 4, 2, False, False, vary=True))
    assert row is not None
    for place, value in enumerate((2, 0, 30, 7)):
        one.cells[row + place] = value
    for tokens in (12, 18):
        INPUT_SIZE.add(expected, 0, tokens)
    for tokens in (3, 4):
        OUTPUT_SIZE.add(expected, 0, tokens)

    (group,) = Sums([one], ["greet"], ["chat a model"]).groups

    assert [group.cells[cell] for cell in (INPUT, OUTPUT, STOPPED)] == [30, 7, 2]
    for histogram in (INPUT_SIZE, OUTPUT_SIZE):
        assert cumulative(histogram, group.cells) == cumulative(histogram, expected)


def test_names_without_room_are_other() -> None:
    one = part()
    one.cells[one.series(MATCHED._replace(mock=1, status=OTHER_STATUS))] = 1
    one.cells[base_of(MAX_GROUPS + CHAT) + INPUT] = 5

    sums = Sums([one], [], [])

    (requests,) = sums.requests
    assert (requests.status, requests.mock) == ("other", "other")
    assert [(group.api, group.model) for group in sums.groups] == [("chat", "other")]
