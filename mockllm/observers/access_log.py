"""One log line for each request, and how log lines look. What might be a secret is not in them: no
header, no body, and of a query only what the APIs themselves have a name for.
"""

from __future__ import annotations

import logging

from mockllm.engine.decision import Exchange
from mockllm.redaction import shown

access = logging.getLogger("mockllm.access")


def log_access(exchange: Exchange) -> None:
    """An observer: one line with method, path, status, mock and the microseconds of deciding. What
    no mock answered has the reason in brackets."""
    request, decision = exchange.request, exchange.decision
    entry = {
        "method": request.method or "-",
        "path": shown(request.path, request.query),
        "status": decision.reply.status,
        "mock": decision.rule.label if decision.rule is not None else None,
        "reason": decision.outcome.value,
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
