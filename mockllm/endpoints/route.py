"""The context of endpoints, their simplest answers, and the record of a route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mockllm.engine.decision import Decision, Match, Outcome, Question, Summary
from mockllm.engine.engine import Engine
from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers import find_vendor
from mockllm.providers.envelope import JSON_HEADERS
from mockllm.providers.routes import Values
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


Endpoint = Callable[[Context, Request, Values], Decision | Question]
"""Answers a request whose route has these values; raises RequestError to refuse it."""


def endpoint_decision(
    reply: Reply,
    prompt: Prompt | None = None,
    *,
    outcome: Outcome = Outcome.ENDPOINT,
    rule: Rule | None = None,
) -> Decision:
    """The decision to answer with `reply`; the app makes it ready."""
    summary = None if prompt is None else Summary.of(prompt)
    return Decision.by(Match(outcome, reply, rule=rule, summary=summary))


def json_answer(request: Request, body: Any, *, prompt: Prompt | None = None) -> Decision:
    """A JSON answer with the headers of the vendor that the request is to."""
    vendor = find_vendor(request)
    headers = JSON_HEADERS if vendor is None else vendor.headers
    return endpoint_decision(Reply.whole(200, headers, jsontext.dumps(body)), prompt)


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` answers `method` on the paths of `template` (`providers.routes`); without
    credentials if it is `public`."""

    method: str
    template: str
    answer: Endpoint
    public: bool = False
