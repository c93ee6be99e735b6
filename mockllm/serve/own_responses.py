"""The responses that this process stores, for other processes that are asked about them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError
from types import MappingProxyType
from typing import Any

from mockllm.app import App
from mockllm.endpoints.earlier import Elsewhere
from mockllm.endpoints.response_memory import ResponseMemory
from mockllm.engine.decision import DividedWork
from mockllm.exchange import Reply, Request
from mockllm.observers.entries import FindEarlier
from mockllm.prompt import Earlier
from mockllm.serve.listening import running_loop
from mockllm.serve.turns import Turns

Found = Earlier | Elsewhere | None


class OwnResponses:
    """Answers what `app` knows without asking other processes. What takes long is done in
    `turns`."""

    def __init__(self, app: App, turns: Turns) -> None:
        self._app = app
        self._turns = turns

    async def look_back(
        self,
        response_id: str,
        session: str,
        known: Mapping[str, Earlier] = MappingProxyType({}),
    ) -> Found:
        """Return the conversation that ends with a response, as `ResponseMemory.look_back` does."""
        leftovers: list[Any] = []
        pieces = self._app.responses.look_back(response_id, session, leftovers, known)
        found: Found = await self._turns.finish(DividedWork(pieces, leftovers))
        return found

    async def reply_to(self, request: Request, session: str | None = None) -> Reply | None:
        """Return the reply to a request for a response, as `App.decide_forwarded` does."""
        decided = self._app.decide_forwarded(request, session)
        if not isinstance(decided, DividedWork):
            return decided
        reply: Reply | None = await self._turns.finish(decided)
        return reply


def earlier_finder(responses: ResponseMemory, turns: Turns) -> FindEarlier:
    """Return what finds the conversation that a call continues, in any thread. It is made in the
    loop of the server, where long work is done in `turns`."""
    loop = asyncio.get_running_loop()

    def find_earlier(response_id: str, session: str) -> Earlier | None:
        if loop is running_loop() or not loop.is_running():
            return responses.find_earlier_of_call(response_id, session)
        leftovers: list[Any] = []
        pieces = responses.find_earlier(response_id, leftovers, session)
        finding = turns.finish(DividedWork(pieces, leftovers))
        try:
            found: Earlier | None = asyncio.run_coroutine_threadsafe(finding, loop).result()
        except CancelledError:  # the loop has ended
            return None
        return found or responses.stored.find_elsewhere(response_id, session)

    return find_earlier
