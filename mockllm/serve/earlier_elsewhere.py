"""Conversations that end with a response of another worker process.

    {"earlier": id, "session": name, "known": {id: conversation}}
                           the conversation; or the id of a response that it continues, which is in
                           yet another process; or null, if nobody knows it

Who is asked for the first time knows none of the others, so one question after the other is asked,
back to a response whose process knows its conversation: usually that before the last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mockllm.endpoints.earlier import Elsewhere
from mockllm.pieces import Pieces
from mockllm.prompt import Earlier, ToolCall, conversation
from mockllm.prompt.conversation import KeptTexts, joined_in_slices, slices
from mockllm.serve.own_responses import Found, OwnResponses
from mockllm.serve.peer_lines import NoAnswer
from mockllm.serve.turns import Turns
from mockllm.state.responses import slot_of

MAX_LINKS = 200  # of a conversation that no process knows yet
Ask = Callable[[int, Any], Awaitable[Any]]
"""Asks the worker in a slot. Returns its answer, or a NoAnswer."""


class EarlierElsewhere:
    """Finds conversations that end in the workers of the `others`, and tells them those that end
    with its `own` responses. What takes long is done in `turns`."""

    def __init__(self, own: OwnResponses, others: Sequence[int], ask: Ask, turns: Turns) -> None:
        self._own = own
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
        unpacked = await self._turns.perform(_in_each(unpack_earlier, known))
        found = await self._own.look_back(response_id, session, unpacked)
        return await self._turns.perform(pack(found))

    async def _find_one(
        self, response_id: str, session: str, known: Mapping[str, Earlier]
    ) -> Found | NoAnswer:
        """Return what the worker knows that has a response: this one, or another."""
        here = await self._own.look_back(response_id, session, known)
        if here != Elsewhere(response_id):
            return here
        slot = slot_of(response_id)
        slots = [each for each in self._others if slot is None or each == slot]
        packed = await self._turns.perform(_in_each(pack, known))
        message = {"earlier": response_id, "session": session, "known": packed}
        is_busy = False
        for each in slots:
            answer = await self._ask(each, message)
            is_busy = is_busy or answer is NoAnswer.BUSY
            found: Found = None
            if not isinstance(answer, NoAnswer):
                found = await self._turns.perform(unpack(answer))
            if found is not None and found != here:
                return found
        return NoAnswer.BUSY if is_busy else None


def pack(found: Found) -> Pieces[Any]:
    """Return what was found as JSON, made with pauses. Many words of the user are joined: to free
    300,000 texts takes 10 ms."""
    if isinstance(found, Elsewhere):
        return found.response_id
    if found is None:
        return None
    words: list[Any] = []
    if len(found.last_user) <= conversation.MESSAGES_AT_ONCE:
        words += found.last_user
    else:
        for joined in joined_in_slices(found.last_user):
            words.append(joined)
            yield False
    calls: list[Any] = []
    for some in slices(found.calls):
        calls += map(list, some)
        yield False
    return [found.answers, found.step, words, calls]


def unpack(packed: Any) -> Pieces[Found]:
    """Return what `pack` packed, with pauses."""
    if isinstance(packed, str):
        return Elsewhere(packed)
    return None if packed is None else (yield from unpack_earlier(packed))


def unpack_earlier(packed: Any) -> Pieces[Earlier]:
    """Return a conversation that `pack` packed, with pauses."""
    answers, step, words, packed_calls = packed
    last_user: Sequence[str] = ()
    if not words or isinstance(words[0], str):
        last_user = tuple(words)
    else:
        last_user = yield from KeptTexts.of_joined(words)
    calls: list[ToolCall] = []
    for some in slices(packed_calls):
        calls += (ToolCall(*call) for call in some)
        yield False
    return Earlier(answers, step, last_user, tuple(calls))


def _in_each(of: Callable[[Any], Pieces[Any]], values: Mapping[str, Any]) -> Pieces[dict[str, Any]]:
    """Return what `of` makes of each of `values`, with pauses."""
    made = {}
    for name, value in values.items():
        made[name] = yield from of(value)
    return made
