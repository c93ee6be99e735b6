"""The output of commands that end by themselves: results and problems."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from mockllm.errors import Problem, most_important

OK = 0
FAILED = 1  # the address cannot be listened on, or standard output cannot be written
WARNINGS = 1  # of `check`
MISTAKES = 2  # in the configuration or on the command line


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


ALL_SHOWN = "'mockllm check --all FILE'"
"""The command that shows every problem of a configuration."""


def report(problems: Sequence[Problem]) -> None:
    """Write the most important of a configuration's problems to standard error, one per line."""
    print_lines(*problem_lines(problems, ALL_SHOWN), stream=sys.stderr)


def problem_lines(problems: Sequence[Problem], remedy: str | None) -> list[str]:
    """Return a line for each problem. Unless `remedy` is None, which is the command that shows all
    of them, only the most important ones."""
    shown = problems if remedy is None else most_important(problems)
    lines = [f"{problem.severity}: {problem}" for problem in shown]
    if remedy is not None and len(shown) < len(problems):
        lines.append(hidden_line(len(problems) - len(shown), remedy))
    return lines


def hidden_line(count: int, remedy: str) -> str:
    """Return the line that follows the most important problems: `remedy` shows the others."""
    return f"... and {count:,} more; {remedy} shows them"


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
