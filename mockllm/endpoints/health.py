"""GET /health, GET /ready and HEAD /: liveness and readiness."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.route import Context
from mockllm.engine.decision import Decision, Outcome
from mockllm.exchange import Request
from mockllm.observers.timing import Timing, as_object
from mockllm.providers import envelope
from mockllm.providers.routes import Values
from mockllm.state.store import Condition

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
    """Answer 200, or 503 while the server stops, or may not ask the state of other servers. It
    listens only after loading, so it is ready from the first request on. If it has lost their state
    it is ready, too: what needs none is answered."""
    condition = context.condition()
    status, is_ready = "ready", condition not in (Condition.JOINING, Condition.REFUSED)
    if not context.is_ready():
        status, is_ready = "draining", False
    elif not is_ready:
        status = condition.value
    body = {"status": status}
    if condition is not Condition.OWN:
        body["state"] = condition.value
    reply = envelope.json_reply(body, 200 if is_ready else 503)
    return endpoint_decision(reply, outcome=Outcome.PROBE)


def alive(context: Context, request: Request, values: Values) -> Decision:
    """Answer the request by which agents check that the server exists."""
    return endpoint_decision(envelope.json_reply({"service": "mock-llm"}), outcome=Outcome.PROBE)
