"""One request in, one decision out: routing, and what lives as long as the process.

A path of a mocked API goes to the engine, which lives as long as one configuration; all else is
answered by the endpoints that need no mock. Configurations come and go (`App.use`), the app stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mockllm.endpoints.base_urls import Mistake, find_mistake
from mockllm.endpoints.health import ROOT
from mockllm.endpoints.route import RESPONSES, Context, Route, endpoint_decision
from mockllm.endpoints.table import LISTED, NOT_LISTED, ROUTES
from mockllm.engine.decision import Decision, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.providers import envelope, find_vendor
from mockllm.providers.routes import NO_VALUES, Routes, Values
from mockllm.replies.prepared import make_ready
from mockllm.state.responses import StoredResponse, StoredResponses
from mockllm.wire.placeholders import FreshValues

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
"""RFC 9110, section 9.1, and RFC 5789; CONNECT does not come as far as this."""


_BY_TEMPLATE = {
    template: [route for route in ROUTES if route.template == template]
    for template in dict.fromkeys(route.template for route in ROUTES)
}
_ENDPOINTS = Routes(_BY_TEMPLATE.items())


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
        self._tables = Routes((path, table) for table in engine.tables for path in table.api.routes)
        self._alone = Context(engine, lambda: self.is_ready, self.stored_responses)
        self._context = replace(self._alone, others=self._others)
        self.stored_paths = frozenset(
            path for path, table in self._tables.literal.items() if table.api.name == RESPONSES
        )
        """Paths whose answers are to be passed to `store_response`."""
        mocked = [f"POST {table.api.routes[0]}" for table in engine.tables]
        beside = [f"{route.method} {route.template.replace('...', '')}" for route in LISTED]
        self._hint = f"Known endpoints: {', '.join(mocked + beside)}; {NOT_LISTED}"

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
        if request.method == "POST":
            table = self._tables.literal.get(request.path)
            if table is not None:
                return self._engine.decide(table, request)
            table, values = self._find_table(request.path)
            if table is not None:
                return self._engine.decide(table, request, values)
        return self._finish(request, lambda: self._decide_elsewhere(self._context, request))

    def decide_for_worker(self, request: Request) -> Reply | None:
        """The reply to a `request` that another worker asks about; None if it is not known here."""
        decided = self._finish(request, lambda: self._decide_elsewhere(self._alone, request))
        if isinstance(decided, Question) or decided.reply.status == 404:
            return None
        return decided.reply

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """`error` in the envelope that a client of this path understands: its vendor's, elsewhere
        plain JSON."""
        table, _ = self._find_table(request.path)
        if table is not None:
            reply = table.api.vendor.render_error(error, {})
        else:
            reply = self._refused(request, error)
        return self._engine.cors.share(reply)

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
        reply, ready = make_ready(self._engine.cors.share(decided.reply))
        return decided._replace(reply=reply, ready=ready)

    def _find_table(self, path: str) -> tuple[Table | None, Values]:
        """The mocks of the API that answers at `path`, and the values of its route."""
        return next(self._tables.find(path), (None, NO_VALUES))

    def _decide_elsewhere(self, context: Context, request: Request) -> Decision | Question:
        """The answer on paths that are no mocked API's, and to other methods on those that are."""
        if request.method not in METHODS:
            raise RequestError(501, f"Unsupported method: {request.method}")
        if request.method == "OPTIONS":
            return self._preflight(request)
        if _wants_websocket(request) and self._is_of(RESPONSES, request.path):
            raise _upgrade_required()
        allowed = {route.method: (route, values) for route, values in _routes(request.path)}
        if request.method == "HEAD" and "HEAD" not in allowed:
            found = allowed.get("GET")
        else:
            found = allowed.get(request.method)
        if found is not None:
            route, values = found
            vendor = None if route.public else find_vendor(request)
            if vendor is not None:
                vendor.authenticate(request, self._engine.require_auth)
            return route.answer(context, request, values)
        mistake = find_mistake(request.path, self._is_known)
        if mistake is None and self._is_known(request.path):
            raise _wrong_method(request, self._methods(request.path))
        return self._not_found(request, mistake)

    def _is_of(self, api: str, path: str) -> bool:
        """True if `path` is a route of the API of this name."""
        table, _ = self._find_table(path)
        return table is not None and table.api.name == api

    def _methods(self, path: str) -> list[str]:
        """The methods that are allowed on `path`; none if it is not known."""
        methods = {route.method for route, _ in _routes(path)}
        if self._find_table(path)[0] is not None:
            methods.add("POST")
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods)

    def _preflight(self, request: Request) -> Decision:
        """The answer to what a browser asks before it sends a page's request. On an unknown path
        the request is allowed too, so that the page can read the 404."""
        methods = ", ".join(self._methods(request.path) or ("GET", "HEAD", "POST", "DELETE"))
        wanted = request.first_values.get(b"access-control-request-headers", b"")
        shared = self._engine.cors.preflight_headers(methods.encode(), wanted)
        headers = (envelope.DATE, (b"allow", methods.encode()), *shared)
        return endpoint_decision(Reply(204, headers, ()), outcome=Outcome.PREFLIGHT)

    # --- Refusals ---

    def _not_found(self, request: Request, mistake: Mistake | None) -> Decision:
        message = f"Invalid URL ({request.method} {request.path})"
        if mistake is not None:
            host = request.first_values.get(b"host", b"localhost").decode("ascii", "replace")
            message = f"{message}. {mistake.describe(host)}"
        elif find_vendor(request) is None:
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
    """The endpoints whose template `path` matches, each with the template's values."""
    for routes, values in _ENDPOINTS.find(path):
        for route in routes:
            yield route, values


def _envelope(
    request: Request, mistake: Mistake | None
) -> Callable[[ClientError, Mapping[str, Any]], Reply]:
    """The function that renders an error for the client that sent `request`."""
    if mistake is not None:
        request = request._replace(path=mistake.meant)
    vendor = find_vendor(request)
    return envelope.plain_error if vendor is None else vendor.render_error


def _wrong_method(request: Request, methods: list[str]) -> RequestError:
    allowed = ", ".join(methods)
    message = f"Not allowed to {request.method} on {request.path}. Allowed: {allowed}."
    return RequestError(405, message, headers=((b"allow", allowed.encode()),))


def _wants_websocket(request: Request) -> bool:
    return request.first_values.get(b"upgrade", b"").lower() == b"websocket"


def _upgrade_required() -> RequestError:
    """Codex (0.169.0) asks for a WebSocket first and takes this, and only this, for "use HTTP": at
    a 404 it tries seven times. RFC 9110, section 15.5.22, wants the header."""
    message = "WebSocket is not supported; send a POST over HTTP/1.1"
    headers = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
    return RequestError(426, message, headers=headers)
