"""GET /health, GET /ready and HEAD /: liveness and readiness."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.route import Context, endpoint_decision
from mockllm.engine.decision import Decision, Outcome
from mockllm.exchange import Request
from mockllm.observers.timing import Timing, as_object
from mockllm.providers import envelope
from mockllm.providers.routes import Values

HEALTH, READY, ROOT = "/health", "/ready", "/"


def health(context: Context, request: Request, values: Values) -> Decision:
    """Answer with the number of mocks in each list, the hits and misses of the match cache and, if
    there were paced answers, how late their steps were."""
    counts = context.engine.counts
    body: dict[str, Any] = {"status": "healthy", "service": "mock-llm", **counts}
    cache = context.engine.match_cache
    if cache is not None:
        body["reuse"] = {"hits": cache.hits, "misses": cache.misses}
    lateness = context.timing()
    if lateness.answers:
        body["timing"] = as_object(Timing.of(lateness))
    return endpoint_decision(envelope.json_reply(body), outcome=Outcome.PROBE)


def ready(context: Context, request: Request, values: Values) -> Decision:
    """Answer 200, or 503 while the server stops. It listens only after loading, so it is ready
    from the first request on."""
    if context.is_ready():
        return endpoint_decision(envelope.json_reply({"status": "ready"}), outcome=Outcome.PROBE)
    return endpoint_decision(
        envelope.json_reply({"status": "draining"}, 503), outcome=Outcome.PROBE
    )


def alive(context: Context, request: Request, values: Values) -> Decision:
    """Answer the request by which agents check that the server exists."""
    return endpoint_decision(envelope.json_reply({"service": "mock-llm"}), outcome=Outcome.PROBE)
