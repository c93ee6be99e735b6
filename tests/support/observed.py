"""Requests decided by an app and observed by a journal, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import count
from typing import Any

import orjson

from mockllm import Call, Config
from mockllm.engine.decision import Decision, Delivery, End, Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load
from mockllm.exchange import Request
from mockllm.observers.journal import Journal
from tests.support.apps import LoneApp

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "embeddings": "/v1/embeddings",
}
HEADERS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
SAME_REPLY: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": {"contains": "weather"}}, "reply": "Sunny"},
        {"match": {"user": "anonymous"}, "reply": {"text": "ok", "usage": {"input": 7}}},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
    ]
}


def request(
    path: str,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    query: str = "",
    method: str = "POST",
) -> Request:
    """A request with the usual headers and `headers`; a body that is not bytes is JSON."""
    lines = {**HEADERS, **(headers or {})}
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in lines.items())
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Request.of(method, path, encoded, data, query=query)


@cache
def _loaded(config: bytes) -> Loaded:
    return load(Config.from_dict(orjson.loads(config)))


class Observed:
    """An app whose exchanges a journal observes. Each request begins a second after the other."""

    def __init__(
        self, config: Any = SAME_REPLY, *, reuse: bool = True, journal: Journal | None = None
    ) -> None:
        self.app = LoneApp(Engine(_loaded(orjson.dumps(config)), reuse=reuse))
        self.journal = Journal() if journal is None else journal
        self._seconds: Iterator[int] = count(1)

    def ask(self, asked: Request, end: End = End.COMPLETE) -> Decision:
        """Decide a request, and have it observed."""
        decision = self.app.decide(asked)
        delivery = Delivery(0.1, 0.25, 0.5, end, started=next(self._seconds))
        self.journal.observe(Exchange(asked, decision, delivery))
        return decision

    def call(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Call:
        """The call that a request becomes."""
        self.ask(request(path, body, headers))
        return self.journal.read().calls[-1]
