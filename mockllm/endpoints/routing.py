"""Routes a request whose session is known: to the engine, or to an endpoint.

What another worker may know of a response is asked first: if a client asks for it, by the endpoint;
if a request continues it and a mock depends on that, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mockllm.endpoints.dispatch import Dispatcher
from mockllm.endpoints.earlier import Elsewhere, continued_id
from mockllm.endpoints.response_memory import ResponseMemory
from mockllm.endpoints.route import RESPONSES, Context
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, DividedWork, FindElsewhere, Question
from mockllm.engine.mocks import Table
from mockllm.engine.received import FindEarlier
from mockllm.engine.views import View
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.pieces import Pieces
from mockllm.prompt import Earlier
from mockllm.providers.routes import NO_VALUES, Routes, Values
from mockllm.state.sessions import COMMON

BUSY_PEER = "The worker that may have the response is busy. Retry the request."


class Router:
    """Decides requests, without the session's prefix in their path, by the engine of `context` or
    by an endpoint. `tables` are the mocks of the APIs by their paths, `responses` those of this
    process, `scheme` is that of the server's URLs (``https``)."""

    def __init__(
        self,
        context: Context,
        tables: Routes[Table],
        responses: ResponseMemory,
        *,
        scheme: str = "http",
    ) -> None:
        self._engine = context.engine
        self._tables = tables
        self._responses = responses
        self.dispatcher = Dispatcher(context.engine, tables, scheme=scheme)
        """Finds the endpoints."""
        # what may be asked
        self._peers = frozenset[int]()
        self._local_context = self._context = context

    def ask(self, peers: frozenset[int]) -> None:
        """Ask the workers in these slots about responses that this process does not know."""
        self._peers = peers
        self._context = replace(self._local_context, peers=peers)

    def decide(
        self, request: Request, session: str, in_path: str | None, view: View
    ) -> Decision | Question:
        """Return the decision on a request of a `session`, which sees this `view`. `in_path` is the
        session that its path named."""
        if request.method == "POST":
            table, values = next(view.routes.find(request.path), (None, NO_VALUES))
            if table is not None:
                return self._decide_mocked(table, values, request, session)
        context = self._context
        if session != COMMON or view.has_added:
            context = replace(context, session=session, added=view.by_name)
        return self.dispatcher.decide(context, request, in_path)

    def decide_forwarded(
        self, request: Request, session: str, in_path: str | None
    ) -> Reply | DividedWork | None:
        """Return the reply to a `request` forwarded by another worker, or the work whose result it
        is, without asking others; None if this process does not know what it asks for (404)."""
        context = replace(self._local_context, session=session)
        return _reply_forwarded(self.dispatcher.decide(context, request, in_path))

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """Return `error` in the format of the vendor of the request's path; plain JSON if it has
        none."""
        table, _ = next(self._tables.find(request.path), (None, NO_VALUES))
        if table is not None:
            reply = table.api.vendor.render_error(error, {})
        else:
            reply = self.dispatcher.render_error(request, error)
        return self._engine.cors.share(reply)

    def _decide_mocked(
        self, table: Table, values: Values, request: Request, session: str
    ) -> Decision | Question:
        """Decide a request to a mocked API. If a mock depends on what it continues, and another
        worker may know that, this is asked first."""

        def decide(find_earlier: FindEarlier) -> Decision | Question:
            return self._engine.decide(table, request, values, find_earlier, session=session)

        continued = self._continued(table, request)
        if continued is None:
            return decide(partial(self._responses.find_earlier, session=session))
        leftovers: list[Any] = []

        def resume(results: Sequence[Any]) -> Decision | Question:
            (found,) = results
            if found is False:
                busy = RequestError(503, BUSY_PEER)
                return Decision.by(self._engine.responder.refuse(table, busy))
            return decide(partial(_know, continued, found))

        def look_here_first() -> Pieces[Decision | Question]:
            here = yield from self._responses.look_back(continued, session, leftovers)
            if isinstance(here, Elsewhere):
                return Question((FindElsewhere(continued, session),), resume)
            return decide(partial(self._responses.find_earlier, session=session))

        return begin(look_here_first(), leftovers)

    def _continued(self, table: Table, request: Request) -> str | None:
        """Return the id of the response that a request continues, if a mock depends on it, and
        another worker may know it."""
        if not self._peers or not table.looks_back or table.api.name != RESPONSES:
            return None
        return continued_id(request.body)


def _reply_forwarded(decided: Decision | Question) -> Reply | DividedWork | None:
    """Return what `Router.decide_forwarded` does of what was decided without other workers."""
    if isinstance(decided, Decision):
        return None if decided.reply.status == 404 else decided.reply
    work, resume = decided.operations[0], decided.resume
    assert isinstance(work, DividedWork)  # nobody else is asked

    def pieces() -> Pieces[Reply | None]:
        result = yield from work.pieces
        reply = _reply_forwarded(resume([result]))
        assert not isinstance(reply, DividedWork)
        return reply

    return DividedWork(pieces(), work.leftovers)


def _know(
    known: str, earlier: Earlier | None, response_id: str, leftovers: list[Any]
) -> Pieces[Earlier | None]:
    """Find the conversation that ends with the response `known`, which is `earlier`
    (`FindEarlier`)."""
    yield from ()
    return earlier if response_id == known else None
