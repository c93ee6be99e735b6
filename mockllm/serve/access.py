"""One log line for each request, and how log lines look. What might be a secret is not in them: no
header, no body, and of a query only what the APIs themselves have a name for.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any, Literal

from mockllm.engine.decision import Exchange

LogFormat = Literal["text", "json"]
LOG_FORMATS = ("text", "json")

LONGEST_PATH = 1_000  # characters of a path and its query
HIDDEN = "***"

access = logging.getLogger("mockllm.access")

_SHOWN = re.compile(
    r"(?:after|api-version|before|beta|limit|order|starting_after|stream)=[A-Za-z0-9_.-]{0,80}"
)
_TEXT = "%(asctime)s %(levelname)s %(message)s"


def log_access(exchange: Exchange) -> None:
    """An observer: one line with method, path, status, mock and the microseconds of deciding. What
    no mock answered has the reason in brackets."""
    request, decision = exchange.request, exchange.decision
    entry = {
        "method": request.method or "-",
        "path": shown(request.path, request.query),
        "status": decision.reply.status,
        "mock": decision.rule.label if decision.rule is not None else None,
        "reason": decision.reason,
        "microseconds": round(exchange.seconds * 1e6),
    }
    access.info(
        "%s %s %d %s %d us",
        entry["method"],
        entry["path"],
        entry["status"],
        entry["mock"] or f"[{entry['reason']}]",
        entry["microseconds"],
        extra={"entry": entry},
    )


def shown(path: str, query: str) -> str:
    """A path and its query as they may stand in a log: one line, printable, no secrets."""
    target = f"{path}?{'&'.join(map(_shown, query.split('&')))}" if query else path
    if len(target) > LONGEST_PATH:
        target = target[:LONGEST_PATH] + "…"
    if not target.isprintable() or " " in target:
        target = "".join(char if char.isprintable() and char != " " else "?" for char in target)
    return target or "-"


def _shown(parameter: str) -> str:
    return parameter if _SHOWN.fullmatch(parameter) else HIDDEN


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
