"""Finds the endpoint of each request that no mock answers, or refuses the request.

An unknown path is a 404 that names the likely mistake in it; a known one with another method is
a 405.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockllm.bounded_cache import BoundedCache
from mockllm.endpoints.base_urls import Mistake, find_mistake
from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.health import ROOT
from mockllm.endpoints.route import RESPONSES, Context, Route
from mockllm.endpoints.table import LISTED, NOT_LISTED, ROUTES
from mockllm.engine.decision import Decision, Outcome, Question, Trouble
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.limits import MIB
from mockllm.providers import envelope, find_vendor
from mockllm.providers.routes import Routes, Values
from mockllm.replies.prepared import make_ready
from mockllm.state.session_names import shown_path

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
"""RFC 9110, section 9.1, and RFC 5789; `http1` rejects CONNECT."""

_Unknown = tuple[str, str, str | None, bytes | None, str | None]
"""What the 404 of an unknown path depends on: the method, the path and the session that it names,
the host, and the vendor."""
MAX_UNKNOWN = MIB  # of these 404s
PER_UNKNOWN = 4096  # bytes; about what one costs, whose text has the path twice
MAX_UNKNOWN_SEEN = 1024  # paths requested once

_BY_TEMPLATE = {
    template: [route for route in ROUTES if route.template == template]
    for template in dict.fromkeys(route.template for route in ROUTES)
}
_ENDPOINTS = Routes(_BY_TEMPLATE.items())


class Dispatcher:
    """Decides every request but a POST to a mocked API, with one `engine`. `tables` are the mocks
    of the APIs by their paths, `scheme` that of the server's URLs (``https``)."""

    def __init__(self, engine: Engine, tables: Routes[Table], *, scheme: str = "http") -> None:
        self._engine = engine
        self._tables = tables
        self._scheme = scheme
        self._unknown = BoundedCache[_Unknown, Decision](MAX_UNKNOWN, max_seen=MAX_UNKNOWN_SEEN)
        mocked = [f"POST {table.api.routes[0]}" for table in engine.tables]
        listed = [f"{route.method} {route.template.replace('...', '')}" for route in LISTED]
        self._hint = f"Known endpoints: {', '.join(mocked + listed)}; {NOT_LISTED}"

    def decide(
        self, context: Context, request: Request, in_path: str | None
    ) -> Decision | Question:
        """Return the decision on every request but a POST to a mocked API. `in_path` is the session
        that its path named."""
        return self.finish(request, lambda: self._answer(context, request, in_path))

    def finish(
        self, request: Request, decide: Callable[[], Decision | Question]
    ) -> Decision | Question:
        """Return the decision of an endpoint (`decide`), ready to be sent. A RequestError becomes
        an error reply; of a question, the decision that follows it is finished."""
        try:
            decided = decide()
        except RequestError as exc:
            return self.refuse(request, exc, Outcome.REFUSED)
        if isinstance(decided, Question):
            resume = decided.resume
            return decided._replace(
                resume=lambda results: self.finish(request, lambda: resume(results))
            )
        return self._make_ready(decided)

    def refuse(self, request: Request, error: RequestError, outcome: Outcome) -> Decision:
        """Return the decision to answer a request with `error`, ready to be sent."""
        reply = self.render_error(request, error)
        decision = self._make_ready(endpoint_decision(reply, outcome=outcome))
        trouble = Trouble("", str(error))
        return decision._replace(match=decision.match._replace(trouble=trouble))

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """Return `error` in the format of the vendor that the client means; plain JSON if it means
        none."""
        mistake = find_mistake(request.path, self._is_known)
        return _error_renderer(request, mistake)(error, {})

    def _make_ready(self, decision: Decision) -> Decision:
        """Return the decision of an endpoint ready to be sent, if it is not yet."""
        if decision.ready is not None:
            return decision
        reply, ready = make_ready(self._engine.cors.share(decision.reply))
        return decision._replace(reply=reply, ready=ready)

    def _answer(
        self, context: Context, request: Request, in_path: str | None
    ) -> Decision | Question:
        """Return the answer of an endpoint, or the 404 of an unknown path.

        Raises:
            RequestError: the request is invalid.
        """
        if request.method not in METHODS:
            raise RequestError(501, f"Unsupported method: {request.method}")
        if request.method == "OPTIONS":
            return self._preflight(request)
        if _wants_websocket(request) and self._is_route_of(RESPONSES, request.path):
            raise _upgrade_required()
        found = _find_route(request)
        if found is not None:
            route, values = found
            vendor = None if route.public else find_vendor(request)
            if vendor is not None:
                vendor.authenticate(request, self._engine.require_auth)
            return route.answer(context, request, values)
        return self._decide_unknown(request, in_path)

    def _decide_unknown(self, request: Request, in_path: str | None) -> Decision:
        """Return the 404 for a request that no endpoint answers. A client with a wrong base URL
        sends one after the other: a repeated one costs half as much.

        Raises:
            RequestError: 405, the path has other methods.
        """
        vendor, host = find_vendor(request), request.first_values.get(b"host")
        name = None if vendor is None else vendor.name
        key = (request.method, request.path, in_path, host, name)
        known = self._unknown.get(key)
        if known is not None:
            return known
        mistake = find_mistake(request.path, self._is_known, in_path)
        if mistake is None and self._is_known(request.path):
            path = shown_path(in_path, request.path)
            raise _method_not_allowed(request.method, path, self._allowed_methods(request.path))
        decision = self._make_ready(self._not_found(request, in_path, mistake))
        match = decision.match._replace(
            reply=decision.reply, ready=decision.ready, reusable=self._engine.reuses
        )
        decision = decision._replace(match=match)
        if self._engine.reuses:
            size = PER_UNKNOWN + 8 * len(request.path)
            self._unknown.offer(key, decision, lambda: size)
        return decision

    def _is_route_of(self, api: str, path: str) -> bool:
        return any(table.api.name == api for table, _ in self._tables.find(path))

    def _allowed_methods(self, path: str) -> list[str]:
        """Return the methods allowed on `path`; none if it is unknown."""
        methods = {route.method for route, _ in _routes(path)}
        if self._tables.knows(path):
            methods.add("POST")
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods)

    def _preflight(self, request: Request) -> Decision:
        """Return the answer to a CORS preflight. An unknown path is allowed, so that the page can
        read the 404 to its actual request."""
        allowed = self._allowed_methods(request.path) or ("GET", "HEAD", "POST", "DELETE")
        methods = ", ".join(allowed).encode()
        requested = request.first_values.get(b"access-control-request-headers", b"")
        cors_headers = self._engine.cors.preflight_headers(methods, requested)
        headers = (envelope.DATE, (b"allow", methods), *cors_headers)
        return endpoint_decision(Reply(204, headers, ()), outcome=Outcome.PREFLIGHT)

    def _not_found(
        self, request: Request, in_path: str | None, mistake: Mistake | None
    ) -> Decision:
        """Return a 404 that names the `mistake` in the path, if one was found, and lists the known
        endpoints where the format of the error allows it."""
        path = shown_path(in_path, request.path)
        message = f"Invalid URL ({request.method} {path})"
        if mistake is not None:
            host = request.first_values.get(b"host", b"localhost").decode("ascii", "replace")
            root, prefix = f"{self._scheme}://{host}", shown_path(in_path, "")
            message = f"{message}. {mistake.explain(root, prefix)}"
        elif find_vendor(request) is None:
            message = "Endpoint not found"
        details = {"path": path, "method": request.method, "hint": self._hint}
        render_error = _error_renderer(request, mistake)
        reply = render_error(RequestError(404, message), details)
        return endpoint_decision(reply, outcome=Outcome.NOT_FOUND)

    def _is_known(self, path: str) -> bool:
        if path == ROOT:
            return False
        return self._tables.knows(path) or _ENDPOINTS.knows(path)


def _routes(path: str) -> Iterator[tuple[Route, Values]]:
    """Yield the endpoints whose template matches `path`, each with the template's values."""
    for routes, values in _ENDPOINTS.find(path):
        for route in routes:
            yield route, values


def _find_route(request: Request) -> tuple[Route, Values] | None:
    """Return the endpoint for the path and the method of `request`; that of GET also for HEAD."""
    by_method = {route.method: (route, values) for route, values in _routes(request.path)}
    if request.method == "HEAD" and "HEAD" not in by_method:
        return by_method.get("GET")
    return by_method.get(request.method)


def _error_renderer(
    request: Request, mistake: Mistake | None
) -> Callable[[ClientError, Mapping[str, Any]], Reply]:
    """Return the function that renders errors in the format of the vendor that the client means,
    judged by the corrected path if there is a `mistake` in it."""
    if mistake is not None:
        request = request._replace(path=mistake.right_path)
    vendor = find_vendor(request)
    return envelope.plain_error if vendor is None else vendor.render_error


def _method_not_allowed(method: str, path: str, methods: list[str]) -> RequestError:
    allowed = ", ".join(methods)
    message = f"Not allowed to {method} on {path}. Allowed: {allowed}."
    return RequestError(405, message, headers=((b"allow", allowed.encode()),))


def _wants_websocket(request: Request) -> bool:
    return request.first_values.get(b"upgrade", b"").lower() == b"websocket"


def _upgrade_required() -> RequestError:
    """Return a 426, the only status on which Codex (0.169.0) falls back from a WebSocket to HTTP:
    on a 404 it tries seven times. RFC 9110, section 15.5.22, requires the Upgrade header."""
    message = "WebSocket is not supported; send a POST over HTTP/1.1"
    headers = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
    return RequestError(426, message, headers=headers)
