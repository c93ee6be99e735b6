"""One request in, one decision out: routing, and what lives as long as the process.

A path of a mocked API goes to the engine, which lives as long as one configuration; all else is
answered by the endpoints that need no mock. Configurations come and go (`App.use`), the app stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from mockllm.endpoints.base_urls import VERSION, Mistake, find_mistake
from mockllm.endpoints.health import ROOT
from mockllm.endpoints.route import (
    RESPONSES,
    Context,
    Route,
    Values,
    asks_anthropic,
    endpoint_decision,
)
from mockllm.endpoints.table import ROUTES
from mockllm.engine.decision import Decision, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.providers import envelope
from mockllm.providers.anthropic.vendor import anthropic_error, authenticate_anthropic
from mockllm.providers.openai.vendor import authenticate_openai, openai_error
from mockllm.replies.prepared import make_ready
from mockllm.state.responses import StoredResponse, StoredResponses
from mockllm.wire.placeholders import FreshValues

WEBSOCKETS = "/v1/responses"
PREFLIGHT_LASTS = b"86400"  # seconds; browsers take less

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
"""RFC 9110, section 9.1, and RFC 5789; CONNECT does not come as far as this."""

_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]+")  # a list of names of headers


def _pattern(template: str) -> re.Pattern[str]:
    """What the paths are that are like `template`."""
    segments = re.escape(template).replace(r"\{id\.\.\.\}", r"(?P<id>.+)")
    return re.compile(segments.replace(r"\{id\}", r"(?P<id>[^/]+)"))


_BY_TEMPLATE = {
    template: [route for route in ROUTES if route.template == template]
    for template in dict.fromkeys(route.template for route in ROUTES)
}
_PLAIN = {path: routes for path, routes in _BY_TEMPLATE.items() if "{" not in path}
_TEMPLATED = [
    (_pattern(template), routes)
    for template, routes in _BY_TEMPLATE.items()
    if template not in _PLAIN
]


class App:
    """Answers every request: by the mocks of the engine in use, or by an endpoint."""

    def __init__(self, engine: Engine) -> None:
        # of the process
        self.is_ready = True
        """The answer to ``GET /ready``; False in a server that stops."""
        self.stored_responses = StoredResponses()
        """The responses that were given and may be asked for again."""
        self._others: frozenset[int] = frozenset()
        self.use(engine)

    def use(self, engine: Engine) -> None:
        """Answer by `engine` from now on."""
        # of the configuration
        self._engine = engine
        self._tables = {path: table for table in engine.tables for path in table.api.paths}
        self._alone = Context(engine, lambda: self.is_ready, self.stored_responses)
        self._context = replace(self._alone, others=self._others)
        self.stored_paths = frozenset(
            path for path, table in self._tables.items() if table.api.name == RESPONSES
        )
        """Where answers are given that `store_response` wants to see."""
        mocked = [f"POST {path}" for path in self._tables]
        beside = [f"{route.method} {route.template.replace('...', '')}" for route in ROUTES]
        self._hint = "Known endpoints: " + ", ".join(mocked + beside)

    def know_others(self, slots: frozenset[int]) -> None:
        """Ask the workers in these slots what this process does not know."""
        self._others = slots
        self._context = replace(self._alone, others=slots)

    @property
    def reuses(self) -> bool:
        """Whether what was seen before is remembered, by the engine and in `head_cache`."""
        return self._engine.reuses

    def decide(self, request: Request) -> Decision | Question:
        """The decision on `request`, or what must be known before. A request that is refused is
        answered too: nothing that a client sends makes this raise."""
        table = self._tables.get(request.path)
        if table is not None and request.method == "POST":
            return self._engine.decide(table, request)
        return self._finish(request, lambda: self._decide_elsewhere(self._context, request))

    def decide_for_worker(self, request: Request) -> Reply | None:
        """The reply to a `request` that another worker asks about; None if it is not known here."""
        decided = self._finish(request, lambda: self._decide_elsewhere(self._alone, request))
        if isinstance(decided, Question) or decided.reply.status == 404:
            return None
        return decided.reply

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """`error` in the envelope that a client of this path understands: its API's, under ``/v1``
        the one that the headers tell, elsewhere plain JSON."""
        table = self._tables.get(request.path)
        if table is not None:
            return table.api.render_error(error, {})
        reply = self._refused(request, error)
        return reply if self._engine.cors else envelope.without_cors(reply)

    def store_response(self, request: Request, decision: Decision, fresh: FreshValues) -> None:
        """Remember a delivered response so that it can be retrieved later."""
        answer = decision.match.answer
        if answer is not None:
            self.stored_responses.append(StoredResponse(request.body, *answer, fresh))

    def _finish(
        self, request: Request, decide: Callable[[], Decision | Question]
    ) -> Decision | Question:
        """What an endpoint decides, ready to be sent; its refusal in the client's envelope."""
        try:
            decided = decide()
        except RequestError as exc:
            decided = endpoint_decision(self._refused(request, exc), outcome=Outcome.REFUSED)
        if isinstance(decided, Question):
            resume = decided.resume
            return decided._replace(
                resume=lambda answers: self._finish(request, lambda: resume(answers))
            )
        reply = decided.reply if self._engine.cors else envelope.without_cors(decided.reply)
        reply, ready = make_ready(reply)
        return decided._replace(reply=reply, ready=ready)

    def _decide_elsewhere(self, context: Context, request: Request) -> Decision | Question:
        """What the mocks' own endpoints do not: other paths, and other methods on theirs."""
        if request.method not in METHODS:
            raise RequestError(501, f"{request.method} is no method that this server knows")
        if request.method == "OPTIONS":
            return self._preflight(request)
        if request.path == WEBSOCKETS and _wants_websocket(request):
            raise _upgrade_required()
        allowed = {route.method: (route, values) for route, values in _routes(request.path)}
        if request.method == "HEAD" and "HEAD" not in allowed:
            found = allowed.get("GET")
        else:
            found = allowed.get(request.method)
        if found is not None:
            route, values = found
            if not route.public:
                _authenticate(request, require_auth=self._engine.require_auth)
            return route.answer(context, request, values)
        mistake = find_mistake(request.path, self._is_known)
        if mistake is None and self._is_known(request.path):
            raise _wrong_method(request, self._methods(request.path))
        return self._not_found(request, mistake)

    def _methods(self, path: str) -> list[str]:
        """The methods that `path` is answered to; none if it is not known."""
        methods = {route.method for route, _ in _routes(path)}
        if path in self._tables:
            methods.add("POST")
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods)

    def _preflight(self, request: Request) -> Decision:
        """What a browser asks before it sends a page's request (Fetch, section 3.2.2). A path that
        is not known is let through too, so that the page can read the 404."""
        methods = ", ".join(self._methods(request.path) or ("GET", "HEAD", "POST", "DELETE"))
        wanted = request.first_values.get(b"access-control-request-headers", b"")
        if not _NAMES.fullmatch(wanted):
            wanted = b"authorization, *"
        headers = (
            envelope.DATE,
            (b"allow", methods.encode()),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", PREFLIGHT_LASTS),
        )
        return endpoint_decision(Reply(204, headers, ()), outcome=Outcome.PREFLIGHT)

    # --- What is not there ---

    def _not_found(self, request: Request, mistake: Mistake | None) -> Decision:
        message = f"Invalid URL ({request.method} {request.path})"
        if mistake is not None:
            host = request.first_values.get(b"host", b"localhost").decode("ascii", "replace")
            message = f"{message}. {mistake.describe(host)}"
        elif not _is_versioned(request.path):
            message = "Endpoint not found"
        beside = {"path": request.path, "method": request.method, "hint": self._hint}
        error = RequestError(404, message)
        render_error = _envelope(request, mistake)
        return endpoint_decision(render_error(error, beside), outcome=Outcome.NOT_FOUND)

    def _is_known(self, path: str) -> bool:
        return bool(self._methods(path)) and path != ROOT

    def _refused(self, request: Request, error: ClientError) -> Reply:
        mistake = find_mistake(request.path, self._is_known)
        return _envelope(request, mistake)(error, {})


def _routes(path: str) -> Iterator[tuple[Route, Values]]:
    """Those whose template `path` is like, and what stands in its places."""
    for route in _PLAIN.get(path, ()):
        yield route, {}
    for pattern, routes in _TEMPLATED:
        match = pattern.fullmatch(path)
        if match is not None:
            values = {name: unquote(value) for name, value in match.groupdict().items()}
            for route in routes:
                yield route, values


def _envelope(
    request: Request, mistake: Mistake | None
) -> Callable[[ClientError, Mapping[str, Any]], Reply]:
    """What renders an error for the client that `request` comes from."""
    path = mistake.meant if mistake is not None else request.path
    if not _is_versioned(path):
        return envelope.plain_error
    if asks_anthropic(path, request):
        return anthropic_error
    return openai_error


def _is_versioned(path: str) -> bool:
    return path == VERSION or path.startswith(f"{VERSION}/")


def _authenticate(request: Request, *, require_auth: bool) -> None:
    if asks_anthropic(request.path, request):
        authenticate_anthropic(request, require_auth)
    else:
        authenticate_openai(request, require_auth)


def _wrong_method(request: Request, methods: list[str]) -> RequestError:
    allowed = ", ".join(methods)
    message = f"Not allowed to {request.method} on {request.path}. Allowed: {allowed}."
    return RequestError(405, message, headers=((b"allow", allowed.encode()),))


def _wants_websocket(request: Request) -> bool:
    return request.first_values.get(b"upgrade", b"").lower() == b"websocket"


def _upgrade_required() -> RequestError:
    """Codex (0.169.0) asks for a WebSocket first and takes this, and only this, for "use HTTP": at
    a 404 it tries seven times. RFC 9110, section 15.5.22, wants the header."""
    message = "There are no WebSockets here: POST to this URL over HTTP/1.1."
    headers = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
    return RequestError(426, message, headers=headers)
