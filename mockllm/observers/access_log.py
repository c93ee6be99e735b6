"""The access log: one line per exchange. It contains no possible secrets: no header, no body but
the words by which a request misses the closest mock, and only those query parameters that the APIs
define.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote

from mockllm.engine.decision import End, Exchange
from mockllm.matching.explain import NearMiss
from mockllm.redaction import (
    escape,
    printable,
    redact_name,
    redact_path,
    redact_target,
    redact_text,
)
from mockllm.state.session_names import split_path

MAX_MODEL = 80  # characters of a model's name

access = logging.getLogger("mockllm.access")


def log_access(exchange: Exchange) -> None:
    """Log method, path, status, mock, model, session and the time of the decision in microseconds.
    Without a mock, the line has the outcome in brackets; an incomplete delivery is noted at its
    end, as are entries of traffic, and the closest mock if none matches. The session is named
    beside the path, which is logged without its prefix, and not at all if it is the common one."""
    request, (match, reply, _, session, _), delivery = exchange
    _, path = split_path(request.path) if session else (None, request.path)
    model = None if match.summary is None else _model(match.summary.model, request.path)
    entry = {
        "method": request.method or "-",
        "path": redact_target(path, request.query),
        "status": delivery.status or reply.status,
        "mock": match.rule.label if match.rule is not None else None,
        "model": model,
        "reason": match.outcome.value,
        "microseconds": round(delivery.decided * 1e6),
        "end": delivery.end.value,
    }
    source = entry["mock"] or f"[{entry['reason']}]"
    words = [entry["method"], entry["path"], entry["status"], source, model]
    if session:
        entry["session"] = redact_name(session)
        words.append(f"session={entry['session']}")
    line = " ".join(str(word) for word in words if word is not None)
    end = "" if delivery.end is End.COMPLETE else f" ({entry['end']})"
    if delivery.gate:
        entry["gate"] = delivery.gate
        end = f" ({entry['end']}, held at {delivery.gate!r})"
    if match.traffic:
        labels = [escape(label) for label in match.traffic]
        entry["traffic"] = labels
        end += f"; by {', '.join(labels)}"
    if match.asked_for:
        entry["asked_for"] = [*match.asked_for]
        end += f"; asked for: {', '.join(match.asked_for)}"
    if match.near_miss is not None:
        entry["near_miss"] = describe_near_miss(match.near_miss)
        end += f"; closest mock: {entry['near_miss']}"
    access.info("%s %d us%s", line, entry["microseconds"], end, extra={"entry": entry})


def describe_near_miss(near_miss: NearMiss) -> str:
    """Format the closest mock and the reason why it does not match as one line."""
    return f"{escape(near_miss.rule.label)}: {redact_text(near_miss.logged)}"


def redact_model(name: str, path: str) -> str:
    """Return the name of a model, hidden if it begins as a credential does. If it is a segment of
    the path, as Azure's deployments are, it is redacted like one."""
    return redact_path(name) if name in unquote(path) else redact_name(name)


def _model(name: str, path: str) -> str:
    return printable(redact_model(name, path), MAX_MODEL)
