"""Whether the server lives, and whether it is ready for more."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.route import Context, Values, endpoint_decision
from mockllm.engine.decision import Decision, Outcome
from mockllm.exchange import Request
from mockllm.providers import envelope

HEALTH, READY, ROOT = "/health", "/ready", "/"


def health(context: Context, request: Request, values: Values) -> Decision:
    counts = context.engine.counts
    body: dict[str, Any] = {"status": "healthy", "service": "mock-llm", **counts}
    matches = context.engine.matches
    if matches is not None:
        body["reuse"] = {"hits": matches.hits, "misses": matches.misses}
    return endpoint_decision(envelope.json_reply(body), outcome=Outcome.PROBE)


def ready(context: Context, request: Request, values: Values) -> Decision:
    """Whether to send more. A server listens once it has loaded, so it is until it stops."""
    if context.is_ready():
        return endpoint_decision(envelope.json_reply({"status": "ready"}), outcome=Outcome.PROBE)
    return endpoint_decision(
        envelope.json_reply({"status": "draining"}, 503), outcome=Outcome.PROBE
    )


def alive(context: Context, request: Request, values: Values) -> Decision:
    """Agents look whether there is anybody before they ask."""
    return endpoint_decision(envelope.json_reply({"service": "mock-llm"}), outcome=Outcome.PROBE)
