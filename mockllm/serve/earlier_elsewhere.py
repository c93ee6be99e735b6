"""Conversations that end with a response of another worker process.

    {"earlier": id, "session": name, "known": {id: conversation}}
                           the conversation; or the id of a response that it continues, which is in
                           yet another process; or null, if nobody knows it

Who is asked for the first time knows none of the others, so one question after the other is asked,
back to a response whose process knows its conversation: usually that before the last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mockllm.app import App
from mockllm.endpoints.earlier import Elsewhere
from mockllm.engine.decision import DividedWork, finish
from mockllm.prompt import Earlier, ToolCall
from mockllm.prompt.conversation import MESSAGES_AT_ONCE, KeptTexts
from mockllm.serve.peer_lines import NoAnswer
from mockllm.serve.turns import Turns
from mockllm.state.responses import slot_of

MAX_LINKS = 200  # of a conversation that no process knows yet
Found = Earlier | Elsewhere | None
Ask = Callable[[int, Any], Awaitable[Any]]
"""Asks the worker in a slot. Returns its answer, or a NoAnswer."""


class EarlierElsewhere:
    """Finds conversations of `app` that end in the workers of the `others`, and tells them its
    own."""

    def __init__(self, app: App, others: Sequence[int], ask: Ask, turns: Turns) -> None:
        self._app = app
        self._turns = turns
        self._others = others
        self._ask = ask

    async def find(self, response_id: str, session: str) -> Earlier | bool | None:
        """Return the conversation that ends with a response of a session; None if nobody knows it,
        False if a worker that may is busy."""
        known: dict[str, Earlier] = {}
        wanted = [response_id]
        while wanted:
            found = await self._find_one(wanted[-1], session, known)
            if isinstance(found, Earlier):
                known[wanted.pop()] = found
            elif isinstance(found, Elsewhere) and len(wanted) < MAX_LINKS:
                if found.response_id in wanted or found.response_id in known:
                    return None
                wanted.append(found.response_id)
            else:
                return False if found is NoAnswer.BUSY else None
        return known[response_id]

    async def tell(self, response_id: str, session: str, known: Mapping[str, Any]) -> Any:
        """Answer another worker what is known here."""
        unpacked = {name: unpack_earlier(each) for name, each in known.items()}
        return pack(await look_back(self._app, self._turns, response_id, session, unpacked))

    async def _find_one(
        self, response_id: str, session: str, known: Mapping[str, Earlier]
    ) -> Found | NoAnswer:
        """Return what the worker knows that has a response: this one, or another."""
        here = await look_back(self._app, self._turns, response_id, session, known)
        if here != Elsewhere(response_id):
            return here
        slot = slot_of(response_id)
        slots = [each for each in self._others if slot is None or each == slot]
        packed = {name: pack(each) for name, each in known.items()}
        message = {"earlier": response_id, "session": session, "known": packed}
        is_busy = False
        for each in slots:
            answer = await self._ask(each, message)
            is_busy = is_busy or answer is NoAnswer.BUSY
            found = None if isinstance(answer, NoAnswer) else unpack(answer)
            if found is not None and found != here:
                return found
        return NoAnswer.BUSY if is_busy else None


async def look_back(
    app: App,
    turns: Turns,
    response_id: str,
    session: str,
    known: Mapping[str, Earlier] = MappingProxyType({}),
) -> Found:
    """Return what `ResponseMemory.look_back` does, in turns if that takes long."""
    leftovers: list[Any] = []
    pieces = app.responses.look_back(response_id, session, leftovers, known)
    found: Found = await turns.finish(DividedWork(pieces, leftovers))
    return found


def pack(found: Found) -> Any:
    """Return what was found as JSON."""
    if isinstance(found, Elsewhere):
        return found.response_id
    if found is None:
        return None
    return [found.answers, found.step, [*found.last_user], [[*call] for call in found.calls]]


def unpack(packed: Any) -> Found:
    """Return what `pack` packed."""
    if isinstance(packed, str):
        return Elsewhere(packed)
    return None if packed is None else unpack_earlier(packed)


def unpack_earlier(packed: Any) -> Earlier:
    """Return a conversation that `pack` packed."""
    answers, step, words, calls = packed
    last_user: Sequence[str] = tuple(words)
    if len(last_user) > MESSAGES_AT_ONCE:
        last_user = finish(KeptTexts.of(last_user))
    return Earlier(answers, step, last_user, tuple(ToolCall(*call) for call in calls))
