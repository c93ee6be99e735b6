"""The sums of what the processes of a server have counted. It knows no format of metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from mockllm.engine.decision import End, Outcome
from mockllm.observers.metric_cells import (
    API_WORDS,
    DURATION,
    ENDS,
    GROUP_CELLS,
    GROUPS,
    GROUPS_AT,
    INPUT,
    INPUT_SIZE,
    MAX_GROUPS,
    NO_GROUP,
    OTHER,
    OTHER_NAME,
    OTHER_STATUS,
    OUTCOMES,
    OUTPUT,
    OUTPUT_SIZE,
    STOPPED,
    TRUNCATED,
    TTFT,
    Histogram,
    Key,
    ProcessCells,
    RowCounts,
    base_of,
)


class Requests(NamedTuple):
    """What requests have in common. `status` and `mock` may be `other`; `mock` is empty if none
    answered."""

    api: str
    status: str
    outcome: Outcome
    mock: str
    end: End
    is_broken: bool


class Group(NamedTuple):
    """What was counted of the answers of one model of an API."""

    api: str
    model: str
    cells: Sequence[int]


class Sums:
    """The sums of the cells of `parts`. `mocks` and `models` are the names in their tables."""

    def __init__(
        self, parts: Iterable[ProcessCells], mocks: Iterable[str], models: Iterable[str]
    ) -> None:
        self.scalars: list[int] = [0] * GROUPS_AT
        """The cells outside of groups and series."""
        groups: dict[int, list[int]] = {}
        series: Counter[int] = Counter()
        for part in parts:
            self.scalars = _add(self.scalars, part.cells[:GROUPS_AT].tolist())
            for number in range(GROUPS):
                base = base_of(number)
                cells = part.cells[base : base + GROUP_CELLS].tolist()
                if any(cells):
                    known = groups.get(number)
                    groups[number] = cells if known is None else _add(known, cells)
            for key, count in part.counted():
                series[key] += count
            for row in part.rows():
                series[row.kind.key] += row.requests
                if row.kind.group != NO_GROUP:
                    _add_row(groups.setdefault(row.kind.group, [0] * GROUP_CELLS), row)
        names = ["", OTHER, *mocks]
        self.requests: Mapping[Requests, int] = {
            _requests(Key.unpack(key), names): count for key, count in series.items()
        }
        """The numbers of requests."""
        of_models = [name.partition(" ") for name in models]
        others = [(word, "", OTHER) for word in API_WORDS]
        labels = dict(enumerate(of_models)) | dict(enumerate(others, MAX_GROUPS))
        self.groups = [
            Group(labels[number][0], labels[number][2], cells)
            for number, cells in sorted(groups.items())
        ]
        """What was counted of each model that was asked, at first the one that was asked first."""


def cumulative(histogram: Histogram, cells: Sequence[int]) -> tuple[list[int], float]:
    """Return the numbers of values up to each bound and of all, and the sum of the values."""
    counts = cells[histogram.at + 1 : histogram.end]
    return [*accumulate(counts)], cells[histogram.at] / histogram.scale


def _add(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _add_row(cells: list[int], row: RowCounts) -> None:
    """Count the requests of a row in their group."""
    kind, count, nanoseconds, prompts, outputs = row
    cells[TRUNCATED if kind.is_truncated else STOPPED] += count
    for histogram in (DURATION, TTFT) if kind.is_stream else (DURATION,):
        cells[histogram.at] += nanoseconds
        cells[histogram.at + 1] += count
    if kind.vary:
        cells[INPUT] += prompts
        cells[OUTPUT] += outputs
        INPUT_SIZE.add_to_bucket(cells, kind.input, prompts, count)
        OUTPUT_SIZE.add_to_bucket(cells, kind.output, outputs, count)
    else:
        cells[INPUT] += kind.input * count
        cells[OUTPUT] += kind.output * count
        INPUT_SIZE.add(cells, 0, kind.input, count)
        OUTPUT_SIZE.add(cells, 0, kind.output, count)


def _requests(key: Key, names: Sequence[str]) -> Requests:
    status = OTHER if key.status == OTHER_STATUS else str(key.status)
    mock = names[key.mock] if key.mock < len(names) else names[OTHER_NAME]
    return Requests(
        API_WORDS[key.api], status, OUTCOMES[key.outcome], mock, ENDS[key.end], key.is_broken
    )
