"""The command ``mockllm check``: what is wrong with configuration files, as text or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mockllm.cli.terminal import (
    MISTAKES,
    OK,
    WARNINGS,
    print_lines,
    print_result,
    problem_lines,
)
from mockllm.engine.loading import Review, review
from mockllm.errors import Place, Problem, Severity
from mockllm.serve.schema_folder import keep_schemas

REPORT_FORMATS = ("text", "json")


def run_check(options: argparse.Namespace) -> int:
    """Report all problems of the files. Returns the exit status: 2 errors, 1 warnings, else 0."""
    keep_schemas()
    reviewed = review(*options.files)
    problems = [*reviewed.problems]
    unchecked = 0
    if options.wire and reviewed.served:
        from mockllm.conformance import check_wire, count_unchecked  # imports both SDKs

        complaints = check_wire(reviewed.config)
        unchecked = count_unchecked(complaints)
        problems += complaints
    counts = Counter(problem.severity for problem in problems)
    status = MISTAKES if counts[Severity.ERROR] else WARNINGS if counts[Severity.WARNING] else OK
    if options.format == "json":
        document = as_document(
            problems, mocks=reviewed.mocks, files=reviewed.files, unchecked=unchecked
        )
        return max(status, print_result(json.dumps(document, indent=2)))
    shown = [each for each in problems if options.verbose or each.severity is not Severity.NOTE]
    print_lines(*problem_lines(shown, "--all" if not options.all else None), stream=sys.stderr)
    hidden = counts[Severity.NOTE] > 0 and not options.verbose
    hint = "; --verbose shows the notes" if hidden else ""
    not_sent = f"; {_count(unchecked, 'mock')} not checked by the clients" if unchecked else ""
    return max(status, print_result(_totals(counts, reviewed) + not_sent + hint))


def as_document(
    problems: Sequence[Problem], *, mocks: int, files: int, unchecked: int = 0
) -> dict[str, Any]:
    """Return the problems and their totals as the JSON document of ``--format json``. `unchecked`
    mocks were not sent to the clients."""
    counts = Counter(problem.severity for problem in problems)
    return {
        "problems": [_as_object(problem) for problem in problems],
        **{f"{severity}s": counts[severity] for severity in Severity},
        "mocks": mocks,
        "files": files,
        "unchecked": unchecked,
    }


def _as_object(problem: Problem) -> dict[str, Any]:
    place = problem.place if isinstance(problem.place, Place) else Place(path=problem.place)
    return {
        "severity": problem.severity,
        "file": place.file or None,
        "list": place.field or None,
        "index": place.position,
        "name": place.name or None,
        "path": place.path or None,
        "message": problem.message,
    }


def _totals(counts: Counter[Severity], reviewed: Review) -> str:
    """``2 errors, 1 warning, 0 notes in 12 mocks of 3 files``."""
    found = ", ".join(_count(counts[severity], severity) for severity in Severity)
    return f"{found} in {_count(reviewed.mocks, 'mock')} of {_count(reviewed.files, 'file')}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
