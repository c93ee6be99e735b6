"""The output of the command while it serves: log lines, problems, hints, as text or as JSON. It
never waits for whoever reads the standard streams.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from mockllm.cli.terminal import ALL_SHOWN, hidden_line
from mockllm.errors import Problem, Severity, most_important
from mockllm.observers.access_log import access
from mockllm.serve.line_writer import LineWriter, wait_for_all

LogFormat = Literal["text", "json"]
LOG_FORMATS = ("text", "json")

STDOUT, STDERR = 1, 2

logger = logging.getLogger("mockllm")

_TEXT = "%(asctime)s %(levelname)s %(message)s"
_LEVELS = {
    Severity.ERROR: logging.ERROR,
    Severity.WARNING: logging.WARNING,
    Severity.NOTE: logging.INFO,
}


class TextLines(logging.Formatter):
    """Formats a log record as text; what the command itself says has no time and no level."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, and its traceback as further ones."""
        text: str | None = getattr(record, "text", None)
        return super().format(record) if text is None else text


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


class Console(logging.Handler):
    """The standard streams of a command that serves. While the context is open, it handles the
    records of all loggers from `level` on and whatever Python itself writes to standard error; log
    entries of the access log are written at any level.

    Without `threads`, the process may fork, and its writers must be served as `LineWriter` says.
    """

    def __init__(self, form: LogFormat, level: str, *, threads: bool) -> None:
        super().__init__()
        self.setFormatter(JSONLines() if form == "json" else TextLines())
        self._level = level.upper()
        self._stderr = LineWriter(STDERR, self._describe_lost)
        self._stdout = LineWriter(STDOUT)
        self.writers = (self._stdout, self._stderr)
        if threads:
            for writer in self.writers:
                writer.use_thread()
        self._stand_in = _StandardError(self)
        # of what it replaces
        self._stream = sys.stderr
        self.is_terminal = form == "text" and _is_terminal(sys.stderr)
        """True if messages are read on a terminal."""
        self._encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._root_level = logging.root.level
        self._hooks = (threading.excepthook, sys.unraisablehook)

    def __enter__(self) -> Self:
        logging.root.addHandler(self)
        logging.root.setLevel(self._level)
        access.setLevel(logging.INFO)
        logging.captureWarnings(True)
        threading.excepthook = _log_thread_failure
        sys.unraisablehook = _log_unraisable
        sys.stderr = self._stand_in
        return self

    def __exit__(self, *_: object) -> None:
        self._stand_in.end_line()
        sys.stderr = self._stream
        threading.excepthook, sys.unraisablehook = self._hooks
        logging.captureWarnings(False)
        logging.root.removeHandler(self)
        logging.root.setLevel(self._root_level)
        self.finish()

    def finish(self) -> None:
        """Wait for what is not written yet, for a moment only."""
        wait_for_all(self.writers)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        try:
            self._stderr.put(self._encode(record))
        except Exception:
            self.handleError(record)

    def say(self, message: str, level: int = logging.INFO, *, text: str | None = None) -> None:
        """Write a message at any log level. As text, it is ``mockllm: message``, or `text`."""
        record = _record(message, level)
        record.text = f"mockllm: {message}" if text is None else text
        self.handle(record)

    def report(self, problems: Sequence[Problem]) -> None:
        """Write the most important of a configuration's problems, one per line."""
        shown = most_important(problems)
        for problem in shown:
            text = f"{problem.severity}: {problem}"
            self.say(str(problem), _LEVELS[problem.severity], text=text)
        if len(shown) < len(problems):
            line = hidden_line(len(problems) - len(shown), ALL_SHOWN)
            self.say(line, text=line)

    def answer(self, line: str) -> None:
        """Write a line to standard output, before whatever is said next."""
        self._stdout.put(os.fsencode(line + os.linesep))
        wait_for_all([self._stdout])

    def _describe_lost(self, count: int) -> bytes:
        lines = "line was" if count == 1 else "lines were"
        message = f"{count:,} {lines} lost: nothing could be written to standard error"
        return self._encode(_record(message, logging.WARNING))

    def _encode(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + os.linesep).encode(self._encoding, "backslashreplace")


class _StandardError(io.TextIOBase):
    """Stands in for `sys.stderr`, so that lines of other libraries and of Python itself are log
    lines, too."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.say(line, logging.WARNING, text=line)
        return len(text)

    def end_line(self) -> None:
        if self._begun:
            self.write("\n")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDERR


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _record(message: str, level: int) -> logging.LogRecord:
    return logging.LogRecord("mockllm", level, "", 0, message, None, None)


def _log_thread_failure(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "unknown"
    info = _exc_info(args.exc_value, args.exc_traceback)
    logger.error("internal error in the thread %s", name, exc_info=info)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    message = args.err_msg or "Exception ignored in"
    info = _exc_info(args.exc_value, args.exc_traceback)
    logger.error("%s: %r", message, args.object, exc_info=info)


def _exc_info(
    error: BaseException | None, traceback: TracebackType | None
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    return None if error is None else (type(error), error, traceback)
