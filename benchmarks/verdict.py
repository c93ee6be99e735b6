"""What the figures say: ratios, and whether they stay above the floors that were reached once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.footprint import Measure
from benchmarks.loads import LIMIT, LOADS, OURS
from benchmarks.measure import Row

FILE = Path(__file__).with_name("floors.json")


@dataclass(frozen=True, slots=True)
class Floors:
    """By the names of loads and of `footprint` measures; seconds and bytes."""

    ratios_at_least: Mapping[str, float]
    footprint_at_most: Mapping[str, float]

    @classmethod
    def recorded(cls) -> Floors:
        """Those in `floors.json`."""
        return cls(**json.loads(FILE.read_text()))


def ratios(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """By load and server: the CPU time of what the load is measured against by the row's own.

    1 is as good as it can be; 0.5 costs twice as much.
    """
    costs = {(row.load, row.server): row.figure.cpu_us for row in rows if row.figure is not None}
    found = {}
    for (load, server), cost in costs.items():
        against = LOADS[load].against
        other = (load, LIMIT) if against == LIMIT else (against, server)
        if other in costs and other != (load, server) and cost:
            found[load, server] = costs[other] / cost
    return found


def missed(
    rows: Sequence[Row], measures: Sequence[Measure], floors: Floors, asked: Collection[str]
) -> Iterator[str]:
    """What is worse than recorded, or was asked for and not measured: a sentence for each.

    `asked` are names of loads and measures; floors of others are not looked at.
    """
    found = ratios(rows)
    whys = {row.load: row.why for row in rows if row.server in (OURS, LIMIT) and row.why}
    for name, floor in floors.ratios_at_least.items():
        ratio = found.get((name, OURS))
        if name in asked and ratio is None:
            yield f"{name}: not measured: {whys.get(name, 'nothing to compare with')}"
        elif name in asked and ratio is not None and ratio < floor:
            yield f"{name}: the ratio is {ratio:.3f}, its floor is {floor}"
    values = {measure.words.name: measure for measure in measures}
    for name, most in floors.footprint_at_most.items():
        measure = values.get(name)
        if name in asked and (measure is None or measure.value is None):
            yield f"{name}: not measured: {measure.why if measure else 'it did not run'}"
        elif name in asked and measure and measure.value is not None and measure.value > most:
            yield f"{name}: {measure.value:,.3f} {measure.words.unit}, at most {most:,}"
