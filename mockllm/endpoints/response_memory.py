"""The responses that this process has delivered, and the conversations that end with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mockllm.endpoints.earlier import Elsewhere, look_back
from mockllm.endpoints.route import RESPONSES, Context
from mockllm.engine.decision import Decision
from mockllm.engine.mocks import Table
from mockllm.exchange import Request
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Earlier
from mockllm.state.responses import StoredResponse, StoredResponses
from mockllm.state.session_names import split_request
from mockllm.state.sessions import COMMON
from mockllm.wire.placeholders import FreshValues


class ResponseMemory:
    """Stores delivered responses for clients that ask for them again or continue them. It lives as
    long as the process; `use` must be called for each configuration, before anything else."""

    def __init__(self) -> None:
        # of the process
        self.stored = StoredResponses()
        """The responses, for ``GET /v1/responses/{id}``."""
        self.when_stored: Callable[[StoredResponse], None] = lambda stored: None
        """Called with each response that is stored."""
        # of the configuration
        self.paths = frozenset[str]()
        """The paths whose answers the caller passes to `store`."""
        self._context: Context

    def use(self, context: Context, tables: Mapping[str, Table]) -> None:
        """Decode requests in this context from now on, and store the responses of those of `tables`
        that are of Responses; these are the mocks of the APIs by their paths."""
        self._context = context
        stored = (path for path, table in tables.items() if table.api.name == RESPONSES)
        self.paths = frozenset(stored)

    def store(self, request: Request, decision: Decision, fresh: FreshValues) -> None:
        """Store a delivered response so that clients of its session can retrieve it. Without effect
        if the decision is an error, or the path another."""
        answer, session = decision.match.answer, decision.session
        _, request = split_request(request)
        if answer is not None and request.path in self.paths:
            stored = StoredResponse(
                request.body,
                answer.response,
                answer.chunk,
                answer.events,
                fresh,
                session=session,
                answer_size=answer.own_size,
            )
            self.stored.append(stored)
            self.when_stored(stored)

    def look_back(
        self,
        response_id: str,
        session: str,
        leftovers: list[Any],
        known: Mapping[str, Earlier] = MappingProxyType({}),
    ) -> Pieces[Earlier | Elsewhere | None]:
        """Return the conversation that ends with a response of a session, or what of it is not
        known in this process, with pauses if its requests are large. Of those that it continues in
        others, some are `known`. `leftovers` are those of `DividedWork`."""
        for name, earlier in known.items():
            self.stored.note_elsewhere(name, session, earlier)
        context = replace(self._context, session=session)
        return (yield from look_back(context, response_id, leftovers))

    def find_earlier(
        self, response_id: str, leftovers: list[Any], session: str = COMMON
    ) -> Pieces[Earlier | None]:
        """Return the conversation that ends with a stored response of a session, in pieces like
        `look_back`; None if it is not known."""
        found = yield from self.look_back(response_id, session, leftovers)
        return None if isinstance(found, Elsewhere) else found

    def find_earlier_of_call(self, response_id: str, session: str) -> Earlier | None:
        """Do what `find_earlier` does, for a call that is read, without a pause: what other workers
        have told is known too."""
        found: Earlier | None = finish(self.find_earlier(response_id, [], session))
        return found or self.stored.find_elsewhere(response_id, session)
