"""The questions of one request, answered one after the other until it is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from mockllm.engine.decision import (
    Admission,
    CallFunction,
    Decision,
    DividedWork,
    FindPeer,
    Peer,
    Question,
    Wait,
)
from mockllm.serve.address import is_local
from mockllm.serve.connections import Service
from mockllm.serve.functions import is_asynchronous
from mockllm.state.operations import Operation as StateOperation

MAX_QUESTIONS = 8  # of one request, one after the other, beside those about state


class Questions:
    """The questions of one request, which came over `transport`. `admit` is told of its admission
    to limits as soon as there is one."""

    def __init__(
        self,
        service: Service,
        transport: asyncio.Transport,
        admit: Callable[[Admission | None], None],
    ) -> None:
        self._service = service
        self._transport = transport
        self._admit = admit
        self.is_calling = False
        """True during a function, or a wait, that is cancelled if the peer leaves."""

    async def resolve(self, question: Question) -> Decision:
        """Return the decision that follows from `question` and those after it.

        Raises:
            StateUnavailableError: state that is asked for cannot be reached in time.
        """
        leftovers: list[list[Any]] = []
        try:
            return await self._resolve(question, leftovers)
        finally:
            self._let_go(leftovers)

    async def _resolve(self, question: Question, leftovers: list[list[Any]]) -> Decision:
        """Do what `resolve` does. What remains of a large body is added to `leftovers`: it is not
        let go of before divided work that goes on with it is done."""
        decided: Decision | Question = question
        left = MAX_QUESTIONS
        while left:
            if decided.admission is not None:
                self._admit(decided.admission)
            if not isinstance(decided, Question):
                break
            work = decided.operations[0]
            left -= not isinstance(work, StateOperation)
            if isinstance(work, DividedWork):
                if work.leftovers is not None:
                    self._service.turns.begin_large()
                    leftovers.append(work.leftovers)
                results: Sequence[Any] = [await self._service.turns.perform(work.pieces)]
                decided = decided.resume(results)
                continue
            self._let_go(leftovers)  # the others may wait for long
            if isinstance(work, CallFunction):
                results = await self._call_functions(decided.operations)
            elif isinstance(work, FindPeer):
                results = [self._peer()]
            elif isinstance(work, Wait):
                results = [await self._wait(work)]
            else:
                results = await self._service.perform(decided.operations)
            decided = decided.resume(results)
        assert isinstance(decided, Decision), "too many questions for one request"
        self._admit(decided.admission)
        return decided

    def _let_go(self, leftovers: list[list[Any]]) -> None:
        while leftovers:
            self._service.turns.let_go(leftovers.pop())

    def _peer(self) -> Peer:
        read = self._transport.get_extra_info
        return Peer(is_local(read("socket"), read("peername")))

    async def _wait(self, work: Wait) -> Any:
        """Wait, unless the peer leaves or the server stops."""
        self.is_calling = not work.is_brief
        try:
            return await work.begin()
        finally:
            self.is_calling = False

    async def _call_functions(self, operations: Sequence[Any]) -> Sequence[Any]:
        """Return the results of functions. Asynchronous ones are cancelled if the peer leaves."""
        self.is_calling = any(is_asynchronous(each.function) for each in operations)
        try:
            return await self._service.functions.perform(operations)
        finally:
            self.is_calling = False
