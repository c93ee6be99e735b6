"""The table of all that is answered beside the mocks.

A route is a method, a template and a function. ``{id}`` in a template stands for one segment of a
path, ``{id...}`` for all that is left of it. HEAD is answered where GET is; OPTIONS everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mockllm.engine.decision import Decision
from mockllm.exchange import Request
from mockllm.neighbours import completions, counting, models, moderations, responses
from mockllm.neighbours.house import Answer, Context, Values, answered
from mockllm.providers import envelope

HEALTH, READY, ROOT = "/health", "/ready", "/"


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` answers `method` on paths like `template`; without credentials if it is `public`."""

    method: str
    template: str
    answer: Answer
    public: bool = False


def _health(context: Context, request: Request, values: Values) -> Decision:
    counts = context.engine.counts
    health: dict[str, Any] = {"status": "healthy", "service": "mock-llm", **counts}
    decisions = context.engine.decisions
    if decisions is not None:
        health["reuse"] = {"hits": decisions.hits, "misses": decisions.misses}
    return answered(envelope.json_reply(health), reason="health")


def _ready(context: Context, request: Request, values: Values) -> Decision:
    """Whether to send more. A server listens once it has loaded, so it is until it stops."""
    if context.is_ready():
        return answered(envelope.json_reply({"status": "ready"}), reason="health")
    return answered(envelope.json_reply({"status": "draining"}, 503), reason="health")


def _alive(context: Context, request: Request, values: Values) -> Decision:
    """Agents look whether there is anybody before they ask."""
    return answered(envelope.json_reply({"service": "mock-llm"}), reason="health")


ROUTES = (
    Route("POST", "/v1/messages/count_tokens", counting.count_tokens),
    Route("POST", "/v1/responses/input_tokens", counting.input_tokens),
    Route("GET", "/v1/responses/{id}", responses.retrieve),
    Route("DELETE", "/v1/responses/{id}", responses.delete),
    Route("POST", "/v1/responses/{id}/cancel", responses.cancel),
    Route("GET", "/v1/responses/{id}/input_items", responses.input_items),
    Route("POST", "/v1/completions", completions.complete),
    Route("POST", "/v1/moderations", moderations.moderate),
    Route("GET", "/v1/models", models.models),
    Route("GET", "/v1/models/{id...}", models.model),
    Route("GET", HEALTH, _health, public=True),
    Route("GET", READY, _ready, public=True),
    Route("HEAD", ROOT, _alive, public=True),
)
