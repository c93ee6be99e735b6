"""The values of a request that templates may use, by their names.

They are plain: texts, numbers, lists and objects, as in the JSON of a request. Each is read when a
template uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from mockllm.config.functions import Prompt as PromptView
from mockllm.engine.effects import NO_EFFECTS, Effects
from mockllm.exchange import Request
from mockllm.matching import readings
from mockllm.matching.divided_readings import in_pieces
from mockllm.matching.readings import Reading
from mockllm.prompt import MESSAGES_AT_ONCE, ConversationMessage, Prompt, ToolResult
from mockllm.providers import APIS
from mockllm.replies.template_bounds import TemplateError
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count
from mockllm.state.sessions import COMMON

_WORDS = {api.name: api.word for api in APIS}
LOOKING_BACK = frozenset({"user", "messages", "tool_results", "turn", "step"})
"""The names of values that depend on what a request continues."""
READINGS: Mapping[str, tuple[Reading, ...]] = {
    "user": (readings.messages, readings.turns, readings.last_user),
    "system": (readings.system,),
    "messages": (readings.messages, readings.spoken),
    "tools": (readings.tools,),
    "tool_results": (readings.messages, readings.turns, readings.results),
    "turn": (readings.messages, readings.turns, readings.turn),
    "step": (readings.messages, readings.turns, readings.step),
}
"""What takes long to read for a value where a conversation is long, in order."""


class Asked(NamedTuple):
    """A request that an answer is made for, in a `session`. `call` is the number of this answer of
    a mock with state, from 1; of others it is 0. `effects` are those of traffic."""

    prompt: Prompt
    request: Request
    session: str = COMMON
    call: int = 0
    effects: Effects = NO_EFFECTS

    def view(self) -> PromptView:
        """Return the request as functions and templates see it."""
        retries = parse_retry_count(self.request.first_values.get(RETRY_COUNT))
        api = _WORDS[self.prompt.endpoint]
        return PromptView(api, self.prompt, self.request, self.session, retries + 1)


def read_values(names: Iterable[str], asked: Asked) -> Generator[bool, None, dict[str, Any]]:
    """Return the values called `names`, read in pieces (`decision.Pieces`).

    Raises:
        TemplateError: one is not known.
    """
    view = asked.view()
    values: dict[str, Any] = {}
    for name in names:
        yield from in_pieces(asked.prompt, READINGS.get(name, ()))
        try:
            value = asked.call if name == _CALL else VALUES[name](view)
        except LookupError as exc:
            raise TemplateError(exc.args[0]) from exc
        if isinstance(value, map):
            value = yield from _list_in_pieces(value)
            if asked.prompt.leftovers is not None:
                asked.prompt.leftovers.append(value)
        values[name] = value
    return values


def _list_in_pieces(entries: Iterator[Any]) -> Generator[bool, None, list[Any]]:
    """Return a list of the entries, with a pause after each `MESSAGES_AT_ONCE`."""
    listed: list[Any] = []
    while more := [*islice(entries, MESSAGES_AT_ONCE)]:
        listed += more
        if len(more) == MESSAGES_AT_ONCE:
            yield False
    return listed


def _message(message: ConversationMessage) -> dict[str, Any]:
    if isinstance(message, ToolResult):
        return {"role": message.role} | _result(message)
    calls = [{"call_id": call.call_id, "name": call.name} for call in message.calls]
    return {"role": message.role, "text": message.text, "calls": calls}


def _result(result: ToolResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "call_id": result.call_id,
        "text": result.text,
        "error": result.error,
    }


VALUES: Mapping[str, Callable[[PromptView], Any]] = {
    "user": lambda view: view.user,
    "system": lambda view: view.system,
    "model": lambda view: view.model,
    "messages": lambda view: map(_message, view.messages),
    "tools": lambda view: [*view.tools],
    "tool_results": lambda view: map(_result, view.tool_results),
    "turn": lambda view: view.turn,
    "step": lambda view: view.step,
    "session": lambda view: view.session,
    "body": lambda view: view.body,
    "headers": lambda view: view.headers,
}
"""The values of a request by their names. An iterator is one of the entries of a list."""
_CALL = "call"
NAMES = frozenset({*VALUES, _CALL})
"""The names that templates may use. A mock has state if it uses ``call``
(`config.texts.may_count_calls`)."""
