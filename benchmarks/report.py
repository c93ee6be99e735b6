"""The figures for people and for programs: tables of text, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.footprint import Measure
from benchmarks.loads import LIMIT, LOADS, OURS
from benchmarks.measure import Row
from benchmarks.verdict import Floors, ratios

KB, MB = 1_000, 1_000_000
MS = 1_000

_COLUMNS = "{:<44} {:<9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}  {}"


def table(rows: Sequence[Row], floors: Floors) -> Iterator[str]:
    """A line for each load and server: medians, and beside the CPU time its least of all rounds:
    where the two are far apart, something else kept the machine busy."""
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
            _remark(row, ratio, floors),
        ).rstrip()


def footprint_table(measures: Sequence[Measure], floors: Floors) -> Iterator[str]:
    """A line for each measure."""
    for measure in measures:
        words = measure.words
        if measure.value is None:
            yield f"{words.title:<60} not measured: {measure.why}"
            continue
        line = f"{words.title:<60} {_quantity(measure.value, words.unit):>10}"
        most = floors.footprint_at_most.get(words.name)
        if most is not None:
            verdict = "missed" if measure.value > most else "kept"
            line += f"  at most {_quantity(most, words.unit)}: {verdict}"
        yield line


def as_json(
    rows: Sequence[Row], measures: Sequence[Measure], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything measured, every round of it. `about` tells machine, time and plan."""
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
            {**asdict(measure.words), "value": measure.value, "why": measure.why}
            for measure in measures
        ],
    }


def _remark(row: Row, ratio: float | None, floors: Floors) -> str:
    """What the ratio is against, and how it stands to its floor."""
    if row.server != OURS or ratio is None:
        return ""
    against = LOADS[row.load].against
    words = "" if against == LIMIT else f"of {LOADS[against].title}"
    floor = floors.ratios_at_least.get(row.load)
    if floor is None:
        return words
    return f"{words} floor {floor}: {'kept' if ratio >= floor else 'missed'}".strip()


def _quantity(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{value * MS:,.0f} ms"
        case _ if abs(value) >= MB:
            return f"{value / MB:,.1f} MB"
        case _:
            return f"{value / KB:,.1f} kB"
