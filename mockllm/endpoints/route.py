"""What all endpoints share: what they may look at, and the simplest answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mockllm.engine.decision import Decision, Match, Outcome, Question, Summary
from mockllm.engine.engine import Engine
from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.vendor import anthropic_headers
from mockllm.providers.openai.vendor import openai_headers
from mockllm.state.responses import StoredResponses
from mockllm.wire import jsontext

CHAT, RESPONSES, MESSAGES = "openai", "openai_response", "anthropic"


@dataclass(frozen=True, slots=True)
class Context:
    """What endpoints may look at: the engine in use, whether the server is ready for more, the
    responses that were given, and the slots of other workers that may be asked."""

    engine: Engine
    is_ready: Callable[[], bool]
    stored: StoredResponses
    others: frozenset[int] = frozenset()

    def may_ask(self, slot: int | None) -> bool:
        """Return whether there is a worker in `slot` to ask, or any where the slot is not known."""
        return slot in self.others if slot is not None else bool(self.others)


Values = Mapping[str, str]
"""What stood in the places of a route's template: ``{"id": "gpt-4o"}``."""

Endpoint = Callable[[Context, Request, Values], Decision | Question]
"""Raises RequestError for a request that it refuses."""


def endpoint_decision(
    reply: Reply,
    prompt: Prompt | None = None,
    *,
    outcome: Outcome = Outcome.ENDPOINT,
    rule: Rule | None = None,
) -> Decision:
    """The decision to answer so; the engine makes it ready."""
    summary = None if prompt is None else Summary.of(prompt)
    return Decision.by(Match(outcome, reply, rule=rule, summary=summary))


def json_answer(request: Request, body: Any, *, prompt: Prompt | None = None) -> Decision:
    """A JSON answer with the headers of the vendor whose client asked."""
    is_anthropic = asks_anthropic(request.path, request)
    headers = anthropic_headers() if is_anthropic else openai_headers()
    return endpoint_decision(Reply.whole(200, headers, jsontext.dumps(body)), prompt)


def asks_anthropic(path: str, request: Request) -> bool:
    """Whether a request is for Anthropic. Some paths are both vendors': then it is the header that
    only one of them wants."""
    return path.startswith("/v1/messages") or b"anthropic-version" in request.first_values


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` answers `method` on paths like `template`; without credentials if it is `public`."""

    method: str
    template: str
    answer: Endpoint
    public: bool = False
