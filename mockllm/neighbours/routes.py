"""The table of all that is answered beside the mocks, and what is said where it has nothing.

A route is a method, a template and a function. ``{id}`` in a template stands for one segment of a
path, ``{id...}`` for all that is left of it. HEAD is answered where GET is; OPTIONS everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mockllm import credentials, envelopes
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Decision, Reply, Request
from mockllm.neighbours import completions, counting, models, moderations, responses
from mockllm.neighbours.house import Answer, House, Values, answered, asks_anthropic
from mockllm.neighbours.mistakes import VERSION, Mistake, find_mistake

HEALTH, READY, ROOT, WEBSOCKETS = "/health", "/ready", "/", "/v1/responses"
_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]+")  # a list of names of headers
PREFLIGHT_LASTS = b"86400"  # seconds; browsers take less


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` answers `method` on paths like `template`; without credentials if it is `public`."""

    method: str
    template: str
    answer: Answer
    public: bool = False


def _health(house: House, request: Request, values: Values) -> Decision:
    counts = {name: len(table.mocks) for name, table in house.tables.items()}
    health: dict[str, Any] = {"status": "healthy", "service": "mock-llm", **counts}
    if house.decisions is not None:
        health["reuse"] = {"hits": house.decisions.hits, "misses": house.decisions.misses}
    return answered(envelopes.json_reply(health), reason="health")


def _ready(house: House, request: Request, values: Values) -> Decision:
    """Whether to send more. A server listens once it has loaded, so it is until it stops."""
    if house.is_ready():
        return answered(envelopes.json_reply({"status": "ready"}), reason="health")
    return answered(envelopes.json_reply({"status": "draining"}, 503), reason="health")


def _alive(house: House, request: Request, values: Values) -> Decision:
    """Agents look whether there is anybody before they ask."""
    return answered(envelopes.json_reply({"service": "mock-llm"}), reason="health")


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

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
"""RFC 9110, section 9.1, and RFC 5789; CONNECT does not come as far as this."""


class Neighbours:
    """Decides what the mocks' own endpoints do not: other paths, and other methods on theirs."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._mocked = tuple(
            path for table in house.tables.values() for path in table.provider.paths
        )
        mocked = [f"POST {path}" for path in self._mocked]
        beside = [f"{route.method} {route.template.replace('...', '')}" for route in ROUTES]
        self._hint = "Known endpoints: " + ", ".join(mocked + beside)

    def decide(self, request: Request) -> Decision:
        """The answer to `request`. Nothing a client sends makes this raise."""
        try:
            decision = self._decide(request)
        except RequestError as exc:
            decision = answered(self._refused(request, exc), reason="refused")
        if self._house.cors:
            return decision
        return decision._replace(reply=envelopes.without_cors(decision.reply))

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """`error` in the envelope that the client of this path understands."""
        reply = self._refused(request, error)
        return reply if self._house.cors else envelopes.without_cors(reply)

    def _decide(self, request: Request) -> Decision:
        if request.method not in METHODS:
            raise RequestError(501, f"{request.method} is no method that this server knows")
        if request.method == "OPTIONS":
            return self._preflight(request)
        if request.path == WEBSOCKETS and _wants_websocket(request):
            raise _upgrade_required()
        allowed = {route.method: (route, values) for route, values in self._routes(request.path)}
        if request.method == "HEAD" and "HEAD" not in allowed:
            found = allowed.get("GET")
        else:
            found = allowed.get(request.method)
        if found is not None:
            route, values = found
            if not route.public:
                _admit(request, require_auth=self._house.require_auth)
            return route.answer(self._house, request, values)
        mistake = find_mistake(request.path, self._is_known)
        if mistake is None and self._is_known(request.path):
            raise _wrong_method(request, self._methods(request.path))
        return self._not_found(request, mistake)

    def _routes(self, path: str) -> Iterator[tuple[Route, Values]]:
        """Those whose template `path` is like, and what stands in its places."""
        for route in _PLAIN.get(path, ()):
            yield route, {}
        for pattern, routes in _TEMPLATED:
            match = pattern.fullmatch(path)
            if match is not None:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                for route in routes:
                    yield route, values

    def _methods(self, path: str) -> list[str]:
        """The methods that `path` is answered to; none if it is not known."""
        methods = {route.method for route, _ in self._routes(path)}
        if path in self._mocked:
            methods.add("POST")
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods)

    def _preflight(self, request: Request) -> Decision:
        """What a browser asks before it sends a page's request (Fetch, section 3.2.2). A path that
        is not known is let through too, so that the page can read the 404."""
        methods = ", ".join(self._methods(request.path) or ("GET", "HEAD", "POST", "DELETE"))
        wanted = request.first.get(b"access-control-request-headers", b"")
        if not _NAMES.fullmatch(wanted):
            wanted = b"authorization, *"
        headers = (
            envelopes.DATE,
            (b"allow", methods.encode()),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", PREFLIGHT_LASTS),
        )
        return answered(Reply(204, headers, ()), reason="preflight")

    # --- What is not there ---

    def _not_found(self, request: Request, mistake: Mistake | None) -> Decision:
        message = f"Invalid URL ({request.method} {request.path})"
        if mistake is not None:
            host = request.first.get(b"host", b"localhost").decode("ascii", "replace")
            message = f"{message}. {mistake.told(host)}"
        elif not _is_versioned(request.path):
            message = "Endpoint not found"
        beside = {"path": request.path, "method": request.method, "hint": self._hint}
        error = RequestError(404, message)
        render_error = _envelope(request, mistake)
        return answered(render_error(error, beside), reason="not found")

    def _is_known(self, path: str) -> bool:
        return bool(self._methods(path)) and path != ROOT

    def _refused(self, request: Request, error: ClientError) -> Reply:
        mistake = find_mistake(request.path, self._is_known)
        return _envelope(request, mistake)(error, {})


def _envelope(
    request: Request, mistake: Mistake | None
) -> Callable[[ClientError, Mapping[str, Any]], Reply]:
    """What renders an error for the client that `request` comes from."""
    path = mistake.meant if mistake is not None else request.path
    if not _is_versioned(path):
        return envelopes.plain_error
    if asks_anthropic(path, request):
        return envelopes.anthropic_error
    return envelopes.openai_error


def _is_versioned(path: str) -> bool:
    return path == VERSION or path.startswith(f"{VERSION}/")


def _admit(request: Request, *, require_auth: bool) -> None:
    if asks_anthropic(request.path, request):
        credentials.admit_anthropic(request, require_auth)
    else:
        credentials.admit_openai(request, require_auth)


def _wrong_method(request: Request, methods: list[str]) -> RequestError:
    allowed = ", ".join(methods)
    message = f"Not allowed to {request.method} on {request.path}. Allowed: {allowed}."
    return RequestError(405, message, headers=((b"allow", allowed.encode()),))


def _wants_websocket(request: Request) -> bool:
    return request.first.get(b"upgrade", b"").lower() == b"websocket"


def _upgrade_required() -> RequestError:
    """Codex (0.169.0) asks for a WebSocket first and takes this, and only this, for "use HTTP": at
    a 404 it tries seven times. RFC 9110, section 15.5.22, wants the header."""
    message = "There are no WebSockets here: POST to this URL over HTTP/1.1."
    headers = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
    return RequestError(426, message, headers=headers)
