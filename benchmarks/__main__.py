"""`python -m benchmarks`: measurements, prints the table, writes `benchmarks/results/`."""

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

from benchmarks import footprint, load_tools, machine, measure, paced, picture, report, service, wrk
from benchmarks.footprint import Measurement
from benchmarks.loads import CONDITIONS, GROUPS, IDLE, LARGE, LOADS, MANY, Load
from benchmarks.measure import FULL, QUICK, Bench, Plan, Row
from benchmarks.outcome import CONNECTIONS
from benchmarks.verdict import Baseline, missed

RESULTS = Path(__file__).with_name("results")

OK, MISSED, UNABLE = 0, 1, 2  # exit statuses

EPILOG = f"""\
names for --only: {", ".join(LOADS)}, {footprint.NAME}, {paced.NAME},
{load_tools.NAME}, {service.NAME}; part of a name selects every load whose name contains it.
Those called "conditions_...", {load_tools.NAME} and {service.NAME} are measured only if they are
selected.

Each server has one core to itself; wrk runs on another. CPU µs is the server's CPU time (user and
system, from the kernel) divided by the number of requests it answered: the median of alternating
rounds, and their minimum. The ratio is the CPU time of a server that parses nothing and sends the
same bytes, divided by the server's own CPU time. Where the table says so, the ratio is against
another load of this server instead.

Needs Linux and wrk. The other servers need `pip install -e '.[bench]'` and, for aimock, npx; one
load needs redis-server, and one h2load, another load generator that confirms what wrk measures.
What is not installed is skipped.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0: success, 1: a baseline is missed, 2: unable to run."""
    options = _parser().parse_args(arguments)
    if requirement := _unmet_requirement():
        print(f"benchmarks: {requirement}", file=sys.stderr)
        return UNABLE
    chosen = select_loads(options.only, quick=options.quick)
    if not chosen:
        print(f"benchmarks: no load matches {' or '.join(options.only)}", file=sys.stderr)
        return UNABLE
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(UNABLE)
    )  # so that the servers are stopped, too
    baseline = Baseline.read()
    plan = QUICK if options.quick else FULL
    rows, measurements = _measure(plan, chosen)
    about = _about(plan)
    print(f"\n{_caption(about)}\n", *report.table(rows, baseline), sep="\n")
    if measurements:
        print("", *report.footprint_table(measurements, baseline), sep="\n")
    _write(options, rows, measurements, about)
    if not options.check:
        return OK
    selected = {*chosen, *(one.metric.name for one in measurements)}
    misses = list(missed(rows, measurements, baseline, selected))
    print("", *misses or ["all baselines are met"], sep="\n")
    return MISSED if misses else OK


def _measure(plan: Plan, chosen: set[str]) -> tuple[list[Row], list[Measurement]]:
    cores = machine.Cores.of_this_process()
    machine.use_core(cores.load)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        bench = Bench(plan, cores, Path(folder), _show_progress)
        for group in GROUPS:  # first: where the time does not suffice, these are wanted most
            loads = _with_references([load for load in group if load.name in chosen])
            rows += measure.measure(bench, loads)
        measurements = footprint.measure(bench) if footprint.NAME in chosen else []
        measurements += paced.measure(bench) if paced.NAME in chosen else []
        measurements += load_tools.measure(bench) if load_tools.NAME in chosen else []
        measurements += service.measure(bench) if service.NAME in chosen else []
    _show_progress("")
    return rows, measurements


def _with_references(loads: Sequence[Load]) -> list[Load]:
    """The loads of the same group that `loads` are measured against, then `loads`."""
    names = dict.fromkeys(load.against for load in loads if load.against in LOADS)
    names.update(dict.fromkeys(load.name for load in loads))
    return [LOADS[name] for name in names]


def select_loads(only: Sequence[str], *, quick: bool) -> set[str]:
    """The names of the loads to measure. By default all but those of conditions and those that take
    minutes, in a quick run all but the large ones too."""
    names = {*LOADS, footprint.NAME, paced.NAME, load_tools.NAME, service.NAME}
    if not only:
        names -= {*CONDITIONS, load_tools.NAME, service.NAME}
        large = {name for name, load in LOADS.items() if load.config in LARGE}
        return names - large if quick else names
    exact = names & set(only)
    parts = [part for part in only if part not in exact]
    return exact | {name for name in names if any(part in name for part in parts)}


def _unmet_requirement() -> str:
    """A message about the first requirement that is not met here; empty if all are."""
    if sys.platform != "linux":
        return f"Linux is required (CPU times are read from /proc), found {sys.platform}"
    if not wrk.is_installed():
        return wrk.MISSING
    if not machine.allow_open_files(2 * IDLE):
        return f"the hard limit on open files (ulimit -Hn) is below {2 * IDLE:,}"
    return ""


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "machine": machine.describe(),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "connections": CONNECTIONS,
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
    measurements: Sequence[Measurement],
    about: dict[str, Any],
) -> None:
    """Write the results. The README shows those of a full run, so other runs use other names."""
    name = "part" if options.only else "quick" if options.quick else "full"
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.as_json(rows, measurements, about), indent=1)
    (folder / f"{name}.json").write_text(f"{text}\n")
    (folder / f"{name}.svg").write_text(picture.draw(rows, _caption(about)))
    print(f"\nwritten: {folder / name}.json, {folder / name}.svg")


def _show_progress(step: str) -> None:
    """Show the current step on one line of a terminal, replacing the previous one."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the cost of a request: to this server, to one that parses nothing, "
        "and to comparable ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds, no servers but the limit and this one, and no loads of "
        f"{MANY:,} mocks: below five minutes instead of twenty",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="run only the loads with this name, or with this text in their name; may be repeated",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 if a figure is worse than benchmarks/baseline.json allows",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="directory of the results; default benchmarks/results",
    )
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(UNABLE)
