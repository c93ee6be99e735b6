"""`python -m benchmarks`: measures, prints the table, writes `benchmarks/results/`."""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import footprint, machine, measure, picture, report, wrk
from benchmarks.footprint import Measure
from benchmarks.loads import GROUPS, IDLE, LARGE, LOADS, MANY, Load
from benchmarks.measure import FULL, QUICK, Bench, Plan, Row
from benchmarks.verdict import Floors, missed

RESULTS = Path(__file__).with_name("results")

OK, BELOW, CANNOT = 0, 1, 2

EPILOG = f"""\
names for --only: {", ".join(LOADS)}, {footprint.NAME};
a part of a name takes all that contain it.

Every server has one core to itself, wrk another. CPU µs is what the kernel says the server used,
user and system, by the requests it answered: the median of alternating rounds, and the least of
them. The ratio is the CPU time of a server that parses nothing, answering the same bytes to the
same load, by the server's own; where the table says so, another figure of ours stands for it.

Needs Linux and wrk. The servers to compare with need `pip install -e '.[bench]'` and, for aimock,
npx; those that are missing are left out.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, 1 a floor is missed, 2 it cannot run here."""
    options = _parser().parse_args(arguments)
    if hindrance := _hindrance():
        print(f"benchmarks: {hindrance}", file=sys.stderr)
        return CANNOT
    chosen = _chosen(options.only, quick=options.quick)
    if not chosen:
        print(f"benchmarks: no load is called {' or '.join(options.only)}", file=sys.stderr)
        return CANNOT
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(CANNOT))  # so that servers are ended, too
    floors = Floors.recorded()
    plan = QUICK if options.quick else FULL
    rows, measures = _measure(plan, chosen)
    about = _about(plan)
    print(f"\n{_caption(about)}\n", *report.table(rows, floors), sep="\n")
    if measures:
        print("", *report.footprint_table(measures, floors), sep="\n")
    _write(options, rows, measures, about)
    if not options.check:
        return OK
    asked = {*chosen, *(one.words.name for one in measures)}
    misses = list(missed(rows, measures, floors, asked))
    print("", *misses or ["every floor is kept"], sep="\n")
    return BELOW if misses else OK


def _measure(plan: Plan, chosen: set[str]) -> tuple[list[Row], list[Measure]]:
    cores = machine.Cores.of_this_process()
    machine.use_core(cores.load)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        bench = Bench(plan, cores, Path(folder), _tell)
        measures = footprint.measure(bench) if footprint.NAME in chosen else []
        for group in GROUPS:
            loads = _with_references([load for load in group if load.name in chosen])
            rows += measure.measure(bench, loads)
    _tell("")
    return rows, measures


def _with_references(loads: Sequence[Load]) -> list[Load]:
    """`loads` and those of the same group that they are measured against, these first."""
    names = dict.fromkeys(load.against for load in loads if load.against in LOADS)
    names.update(dict.fromkeys(load.name for load in loads))
    return [LOADS[name] for name in names]


def _chosen(only: Sequence[str], *, quick: bool) -> set[str]:
    """The names of what is measured: all of them, but nothing large in a quick run."""
    names = {*LOADS, footprint.NAME}
    if not only:
        large = {name for name, load in LOADS.items() if load.config in LARGE}
        return names - large if quick else names
    exact = names & set(only)
    parts = [part for part in only if part not in exact]
    return exact | {name for name in names if any(part in name for part in parts)}


def _hindrance() -> str:
    """What keeps the benchmarks from running here; empty if nothing does."""
    if sys.platform != "linux":
        return f"they read the accounts of a Linux kernel (/proc), which {sys.platform} lacks"
    if not wrk.is_installed():
        return wrk.MISSING
    if not machine.allow_open_files(2 * IDLE):
        return f"the hard limit of open files is below {2 * IDLE:,}: ulimit -Hn"
    return ""


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "machine": machine.describe(),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "connections": wrk.CONNECTIONS,
    }


def _caption(about: dict[str, Any]) -> str:
    where = about["machine"]
    return (
        f"{where['cpu']}, {where['cores']} cores, {where['kernel']}, {where['python']}; "
        f"medians of {about['rounds']} rounds of {about['seconds']} s, "
        f"{about['connections']} connections; {about['measured'][:10]}"
    )


def _write(
    options: argparse.Namespace,
    rows: Sequence[Row],
    measures: Sequence[Measure],
    about: dict[str, Any],
) -> None:
    """A full run is what the README shows; a part or a quick one must not take its place."""
    name = "part" if options.only else "quick" if options.quick else "full"
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.as_json(rows, measures, about), indent=1)
    (folder / f"{name}.json").write_text(f"{text}\n")
    (folder / f"{name}.svg").write_text(picture.draw(rows, _caption(about)))
    print(f"\nwritten: {folder / name}.json, {folder / name}.svg")


def _tell(what: str) -> None:
    """What is going on, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What a request costs this server, beside a server that parses nothing and "
        "beside its peers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds, only the limit and this server, without the peers and without "
        f"{MANY:,} mocks: below two minutes instead of ten",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only loads of this name, or with this part of a name; may be repeated",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 if a figure is worse than benchmarks/floors.json allows",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="where the results are written, default benchmarks/results",
    )
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(CANNOT)
