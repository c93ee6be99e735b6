"""What the command writes to its standard streams: answers, messages, log lines."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal, TextIO

from mockllm.errors import Problem
from mockllm.observers.access_log import access

LogFormat = Literal["text", "json"]
LOG_FORMATS = ("text", "json")


_TEXT = "%(asctime)s %(levelname)s %(message)s"


class JSONLines(logging.Formatter):
    """A log record as one JSON object: ``time``, ``level``, ``message``, or what an access line
    tells; ``error`` has the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
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
    """Log to standard error from `level` on, access lines whatever it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    access.setLevel(logging.INFO)


OK, WARNINGS, MISTAKES = 0, 1, 2
FAILED = 1


def fill_standard_descriptors() -> None:
    """Open what was closed when the command started: a socket that took the place would be written
    to as standard error, and libuv does not close one."""
    for descriptor in range(3):  # each open takes the lowest that is free
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def print_answer(text: str) -> int:
    """Write what was asked for. Returns the exit status."""
    try:
        print(text, flush=True)
    except OSError as exc:
        forget(sys.stdout)
        if not isinstance(exc, BrokenPipeError):  # as when `head` has read enough
            say(f"mockllm: cannot write: {exc.strerror}", stream=sys.stderr)
        return FAILED
    return OK


def tell(problems: Sequence[Problem]) -> None:
    say(*(f"{problem.severity}: {problem}" for problem in problems), stream=sys.stderr)


def say(*lines: str, stream: TextIO | None) -> None:
    """Write `lines`, if anybody takes them: no server depends on who reads what it tells."""
    if stream is None:  # it was closed when the command started
        return
    try:
        print(*lines, sep="\n", end="\n" if lines else "", file=stream, flush=True)
    except OSError:
        forget(stream)


def forget(stream: TextIO) -> None:
    """Send what is still written to `stream` nowhere, or Python would try again in the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
