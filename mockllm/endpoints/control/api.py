"""Answers every request below ``/__mockllm/``: admits it, finds its route, renders its errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mockllm.endpoints.control.access import PREFIX, SAFE, Grant, check_content_type
from mockllm.endpoints.control.answers import refuse
from mockllm.endpoints.control.description import ALL_ROUTES
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import ControlError, forbidden, not_found
from mockllm.endpoints.control.request import ControlRequest, read_query
from mockllm.endpoints.control.route import Route
from mockllm.engine.decision import Decision, FindPeer, Peer, Question
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.providers.routes import NO_VALUES, Routes, Values

_ROOT = PREFIX.rstrip("/")
_BY_TEMPLATE = {
    template: {route.method: route for route in ALL_ROUTES if route.template == template}
    for template in dict.fromkeys(route.template for route in ALL_ROUTES)
}
_ROUTES = Routes((PREFIX + template, routes) for template, routes in _BY_TEMPLATE.items())


class ControlAPI:
    """The control API of one server."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.access = desk.access

    def owns(self, path: str) -> bool:
        """Return True if the control API answers requests to `path`."""
        return path.startswith(PREFIX) or path == _ROOT

    def decide(self, request: Request) -> Decision | Question:
        """Return the decision on a request, or the question before it. No answer has a header of
        CORS."""
        return _finish(lambda: self._admit(request))

    def _admit(self, request: Request) -> Decision | Question:
        """Answer a request once it is known what it may see and change.

        Raises:
            ControlError: it is refused.
        """
        access = self.access
        access.check_page(request)
        route, values = _find(request)
        grant = access.identify(request)
        if grant is None and route.template == "login":
            grant = Grant()  # its body has the token
        elif grant is None:
            access.check_host(request)
            if route.public:
                grant = Grant()
        if grant is not None:
            return self._answer(request, route, values, grant)
        if not access.is_open:
            access.admit_local(request, is_local=False)

        def resume(results: Sequence[Any]) -> Decision | Question:
            (peer,) = results
            assert isinstance(peer, Peer)
            admitted = access.admit_local(request, is_local=peer.is_local)
            return self._answer(request, route, values, admitted)

        return Question((FindPeer(),), lambda results: _finish(lambda: resume(results)))

    def _answer(
        self, request: Request, route: Route, values: Values, grant: Grant
    ) -> Decision | Question:
        """Answer a request that is admitted, if its form is right.

        Raises:
            ControlError: it is refused.
        """
        check_content_type(request)
        if route.needs_own_token and not grant.is_full:
            raise forbidden("This needs the token of the server, not that of a session")
        query = read_query(request, [parameter.name for parameter in route.query])
        return route.answer(self._desk, ControlRequest(request, values, query, grant))


def _finish(decide: Callable[[], Decision | Question]) -> Decision | Question:
    """Return the decision, with errors rendered; of a question, those that follow it too."""
    try:
        decided = decide()
    except RequestError as exc:
        return refuse(exc)
    if isinstance(decided, Question):
        resume = decided.resume
        return decided._replace(resume=lambda results: _finish(lambda: resume(results)))
    return decided


def _find(request: Request) -> tuple[Route, Values]:
    """Return the route of a request; that of GET also for HEAD.

    Raises:
        ControlError: 404, 405.
    """
    path = PREFIX if request.path == _ROOT else request.path
    routes, values = next(_ROUTES.find(path), ({}, NO_VALUES))
    if not routes:
        raise not_found("such path in the control API", f"; GET {PREFIX} lists them")
    method = "GET" if request.method in SAFE else request.method
    if method in routes:
        return routes[method], values
    allowed = ", ".join(sorted({*routes, *(["HEAD"] if "GET" in routes else [])}))
    raise ControlError(
        405,
        "method_not_allowed",
        f"Not allowed to {request.method} here. Allowed: {allowed}",
        headers=((b"allow", allowed.encode()),),
    )
