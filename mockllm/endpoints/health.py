"""GET /health, GET /ready and HEAD /: liveness and readiness."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.route import Context, endpoint_decision
from mockllm.engine.decision import Decision
from mockllm.exchange import Request
from mockllm.providers import envelope
from mockllm.providers.routes import Values

HEALTH, READY, ROOT = "/health", "/ready", "/"


def health(context: Context, request: Request, values: Values) -> Decision:
    counts = context.engine.counts
    body: dict[str, Any] = {"status": "healthy", "service": "mock-llm", **counts}
    decisions = context.engine.decisions
    if decisions is not None:
        body["reuse"] = {"hits": decisions.hits, "misses": decisions.misses}
    return endpoint_decision(envelope.json_reply(body), reason="health")


def ready(context: Context, request: Request, values: Values) -> Decision:
    """Readiness. A server listens only after loading, so it is ready until it stops."""
    if context.is_ready():
        return endpoint_decision(envelope.json_reply({"status": "ready"}), reason="health")
    return endpoint_decision(envelope.json_reply({"status": "draining"}, 503), reason="health")


def alive(context: Context, request: Request, values: Values) -> Decision:
    """Agents check that the server exists before their first request."""
    return endpoint_decision(envelope.json_reply({"service": "mock-llm"}), reason="health")
