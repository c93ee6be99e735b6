"""Compares figures with the recorded baseline."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.footprint import Measurement
from benchmarks.loads import LIMIT, LOADS, OURS
from benchmarks.measure import Row

FILE = Path(__file__).with_name("baseline.json")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The bounds of ratios, by load, and of footprint metrics, by name, in seconds and bytes."""

    ratios_at_least: Mapping[str, float]
    footprint_at_most: Mapping[str, float]

    @classmethod
    def read(cls) -> Baseline:
        """Read `baseline.json`."""
        return cls(**json.loads(FILE.read_text()))


def ratios(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """The ratios, by load and server: the CPU time that the load is measured against, divided by
    the row's own. 1 is the optimum; 0.5 costs twice as much.
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
    rows: Sequence[Row],
    measurements: Sequence[Measurement],
    baseline: Baseline,
    selected: Collection[str],
) -> Iterator[str]:
    """Yield a message for each figure that is worse than its bound or could not be measured.

    `selected` are the names of loads and metrics to check; all others are ignored.
    """
    found = ratios(rows)
    whys = {row.load: row.why for row in rows if row.server in (OURS, LIMIT) and row.why}
    for name, least in baseline.ratios_at_least.items():
        ratio = found.get((name, OURS))
        if name in selected and ratio is None:
            yield f"{name}: not measured: {whys.get(name, 'nothing to compare with')}"
        elif name in selected and ratio is not None and ratio < least:
            yield f"{name}: the ratio is {ratio:.3f}, its baseline is {least}"
    values = {measurement.metric.name: measurement for measurement in measurements}
    for name, most in baseline.footprint_at_most.items():
        measurement = values.get(name)
        if name in selected and (measurement is None or measurement.value is None):
            yield f"{name}: not measured: {measurement.why if measurement else 'it did not run'}"
        elif (
            name in selected
            and measurement
            and measurement.value is not None
            and measurement.value > most
        ):
            yield f"{name}: {measurement.value:,.3f} {measurement.metric.unit}, at most {most:,}"
