"""The context of endpoints, their simplest answers, and the record of a route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.exchange import Reply, Request
from mockllm.prompt import Prompt
from mockllm.providers import find_vendor
from mockllm.providers.envelope import JSON_HEADERS
from mockllm.providers.routes import Values
from mockllm.state.responses import StoredResponses
from mockllm.wire import jsontext, placeholders

CHAT, RESPONSES, MESSAGES = "openai", "openai_response", "anthropic"


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that endpoints read: the engine in use, the server's readiness (`is_ready`), and
    the responses that were delivered (`stored`)."""

    engine: Engine
    is_ready: Callable[[], bool]
    stored: StoredResponses


Endpoint = Callable[[Context, Request, Values], Decision]
"""Answers a request whose route has these values; raises RequestError to refuse it."""


def endpoint_decision(
    reply: Reply, prompt: Prompt | None = None, *, reason: str = "neighbour"
) -> Decision:
    """The decision to answer with `reply`; the app makes it ready."""
    return Decision(reply, None, reason, prompt=prompt)


def json_answer(request: Request, body: Any, *, prompt: Prompt | None = None) -> Decision:
    """A JSON answer with the headers of the vendor that the request is to."""
    vendor = find_vendor(request)
    headers = JSON_HEADERS if vendor is None else vendor.headers
    return endpoint_decision(placeholders.whole(200, headers, jsontext.dumps(body)), prompt)


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` answers `method` on the paths of `template` (`providers.routes`); without
    credentials if it is `public`."""

    method: str
    template: str
    answer: Endpoint
    public: bool = False
