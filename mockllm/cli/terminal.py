"""Output to the standard streams: results, problems, log lines."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal, TextIO

from mockllm.errors import Problem, most_important
from mockllm.observers.access_log import access

OK = 0
FAILED = 1  # the address cannot be listened on, or standard output cannot be written
WARNINGS = 1  # of `check`
MISTAKES = 2  # in the configuration or on the command line

LogFormat = Literal["text", "json"]
LOG_FORMATS = ("text", "json")

_TEXT = "%(asctime)s %(levelname)s %(message)s"


class JSONLines(logging.Formatter):
    """Formats a log record as one JSON object: ``time``, ``level``, and ``message`` or the fields
    of an access log entry; ``error`` has the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **getattr(record, "entry", {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(level: str, form: LogFormat) -> None:
    """Log to standard error from `level` on; access log entries are logged at any level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    access.setLevel(logging.INFO)


def fill_standard_descriptors() -> None:
    """Open /dev/null for standard streams that were closed when the command started.

    A socket that took the descriptor 2 would receive everything written to standard error.
    """
    for descriptor in range(3):  # `open` takes the lowest free descriptor
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def print_result(text: str) -> int:
    """Write the result of a command to standard output. Returns the exit status."""
    try:
        print(text, flush=True)
    except OSError as exc:
        _discard_output(sys.stdout)
        if not isinstance(exc, BrokenPipeError):  # `head` closes the pipe when it has enough
            print_lines(f"mockllm: cannot write: {exc.strerror}", stream=sys.stderr)
        return FAILED
    return OK


def report(problems: Sequence[Problem]) -> None:
    """Write the most important of a configuration's problems to standard error, one per line."""
    print_lines(*problem_lines(problems, "'mockllm check --all FILE'"), stream=sys.stderr)


def problem_lines(problems: Sequence[Problem], remedy: str | None) -> list[str]:
    """Return a line for each problem. Unless `remedy` is None, which is the command that shows all
    of them, only the most important ones."""
    shown = problems if remedy is None else most_important(problems)
    lines = [f"{problem.severity}: {problem}" for problem in shown]
    if len(shown) < len(problems):
        lines.append(f"... and {len(problems) - len(shown):,} more; {remedy} shows them")
    return lines


def print_lines(*lines: str, stream: TextIO | None) -> None:
    """Write lines to a stream, ignoring closed or broken ones."""
    if stream is None:  # it was closed when the command started
        return
    try:
        print(*lines, sep="\n", end="\n" if lines else "", file=stream, flush=True)
    except OSError:
        _discard_output(stream)


def _discard_output(stream: TextIO) -> None:
    """Redirect a broken stream to /dev/null, or Python would flush it again at exit and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
