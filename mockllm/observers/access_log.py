"""One log line for each exchange. Nothing that might be a secret is in it: no header, no body, and
of a query only what the APIs themselves have a name for.
"""

from __future__ import annotations

import logging

from mockllm.engine.decision import End, Exchange
from mockllm.redaction import printable, redact_target

MAX_MODEL = 80  # characters of a model's name

access = logging.getLogger("mockllm.access")


def log_access(exchange: Exchange) -> None:
    """Log method, path, status, mock, model and the microseconds of deciding. Where no mock
    answered, the outcome stands in brackets; an end before its time stands last."""
    request, (match, reply, _), delivery = exchange
    model = None if match.summary is None else printable(match.summary.model, MAX_MODEL)
    entry = {
        "method": request.method or "-",
        "path": redact_target(request.path, request.query),
        "status": reply.status,
        "mock": match.rule.label if match.rule is not None else None,
        "model": model,
        "reason": match.outcome.value,
        "microseconds": round(delivery.decided * 1e6),
        "end": delivery.end.value,
    }
    who = entry["mock"] or f"[{entry['reason']}]"
    words = [entry["method"], entry["path"], entry["status"], who, model]
    line = " ".join(str(word) for word in words if word is not None)
    end = "" if delivery.end is End.COMPLETE else f" ({entry['end']})"
    access.info("%s %d us%s", line, entry["microseconds"], end, extra={"entry": entry})
