"""Formats the figures as text tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.footprint import Measurement
from benchmarks.loads import LIMIT, LOADS, OURS
from benchmarks.measure import Row
from benchmarks.verdict import Baseline, ratios

KB, MB = 1_000, 1_000_000
MS = 1_000

_COLUMNS = "{:<44} {:<9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}  {}"


def table(rows: Sequence[Row], baseline: Baseline) -> Iterator[str]:
    """Yield a line for each load and server. It has medians and, for the CPU time, the minimum of
    all rounds: if the two are far apart, the machine was busy with something else."""
    names = ("load", "server", "CPU µs", "least", "req/s", "p50 µs", "p99 µs", "ratio", "")
    yield _COLUMNS.format(*names).rstrip()
    found = ratios(rows)
    before = ""
    for row in rows:
        title = LOADS[row.load].title if row.load != before else ""
        before = row.load
        figure = row.figure
        if figure is None:
            yield f"{title:<44} {row.server:<9} not measured: {row.why or 'no round'}"
            continue
        ratio = found.get((row.load, row.server))
        yield _COLUMNS.format(
            title,
            row.server,
            f"{figure.cpu_us:,.1f}",
            f"{min(one.cpu_us for one in row.rounds):,.1f}",
            f"{figure.rate:,.0f}",
            f"{figure.p50_us:,.0f}",
            f"{figure.p99_us:,.0f}",
            "" if ratio is None else f"{ratio:.3f}",
            _remark(row, ratio, baseline),
        ).rstrip()


def footprint_table(measurements: Sequence[Measurement], baseline: Baseline) -> Iterator[str]:
    """Yield a line for each measurement."""
    for measurement in measurements:
        metric = measurement.metric
        if measurement.value is None:
            yield f"{metric.title:<60} not measured: {measurement.why}"
            continue
        line = f"{metric.title:<60} {_quantity(measurement.value, metric.unit):>10}"
        most = baseline.footprint_at_most.get(metric.name)
        if most is not None:
            verdict = "missed" if measurement.value > most else "met"
            line += f"  at most {_quantity(most, metric.unit)}: {verdict}"
        yield line


def as_json(
    rows: Sequence[Row], measurements: Sequence[Measurement], about: Mapping[str, Any]
) -> dict[str, Any]:
    """All results, with every round. `about` describes machine, time and plan."""
    found = ratios(rows)
    return {
        **about,
        "rows": [
            {
                "load": row.load,
                "server": row.server,
                "median": asdict(row.figure) if row.figure else None,
                "ratio": found.get((row.load, row.server)),
                "against": LOADS[row.load].against,
                "rounds": [asdict(figure) for figure in row.rounds],
                "why": row.why,
            }
            for row in rows
        ],
        "footprint": [
            {**asdict(measurement.metric), "value": measurement.value, "why": measurement.why}
            for measurement in measurements
        ],
    }


def _remark(row: Row, ratio: float | None, baseline: Baseline) -> str:
    """The load that the ratio is against, and whether the ratio meets its baseline."""
    if row.server != OURS or ratio is None:
        return ""
    against = LOADS[row.load].against
    text = "" if against == LIMIT else f"of {LOADS[against].title}"
    least = baseline.ratios_at_least.get(row.load)
    if least is None:
        return text
    return f"{text} at least {least}: {'met' if ratio >= least else 'missed'}".strip()


def _quantity(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{value * MS:,.0f} ms"
        case "%":
            return f"{value:.1%}"
        case "x":
            return f"{value:.2f} times"
        case _ if abs(value) >= MB:
            return f"{value / MB:,.1f} MB"
        case _:
            return f"{value / KB:,.1f} kB"
