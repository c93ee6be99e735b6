"""The values of a request that templates may use, by their names.

They are plain: texts, numbers, lists and objects, as in the JSON of a request. Each is read when a
template uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from mockllm.config.functions import Prompt as PromptView
from mockllm.engine.asked import Asked
from mockllm.matching import readings
from mockllm.matching.divided_readings import in_pieces, join_in_pieces, read_slices
from mockllm.matching.readings import Reading
from mockllm.pieces import Pieces
from mockllm.prompt import ConversationMessage, Prompt, ToolCall, ToolResult
from mockllm.prompt.conversation import MESSAGES_AT_ONCE, slices
from mockllm.replies.template_bounds import TemplateError

_M = TypeVar("_M", bound=ConversationMessage)
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


def read_values(names: Iterable[str], asked: Asked) -> Pieces[dict[str, Any]]:
    """Return the values called `names`, read in pieces.

    Raises:
        TemplateError: one is not known.
    """
    view = asked.view()
    values: dict[str, Any] = {}
    for name in names:
        yield from in_pieces(asked.prompt, READINGS.get(name, ()))
        if name in _LONG_VALUES:
            value = yield from _LONG_VALUES[name](asked.prompt)
            asked.prompt.let_go_later((value,))
        elif name == _CALL:
            if not asked.call:
                raise TemplateError(f"{_CALL!r} is not counted here; {_COUNTED}")
            value = asked.call
        else:
            try:
                value = _VALUES[name](view)
            except LookupError as exc:
                raise TemplateError(exc.args[0]) from exc
        values[name] = value
    return values


def _system(prompt: Prompt) -> Pieces[str]:
    return (yield from join_in_pieces(prompt.system()))


def _tools(prompt: Prompt) -> Pieces[list[str]]:
    return (yield from read_slices(prompt.tools(), lambda names: names))


def _messages(prompt: Prompt) -> Pieces[list[dict[str, Any]]]:
    return (yield from _list_in_pieces(prompt, readings.spoken, _message))


def _tool_results(prompt: Prompt) -> Pieces[list[dict[str, Any]]]:
    return (yield from _list_in_pieces(prompt, readings.results, _result))


def _list_in_pieces(
    prompt: Prompt,
    read: Callable[[Prompt], Sequence[_M]],
    entry: Callable[[_M, str, list[dict[str, Any]]], dict[str, Any]],
) -> Pieces[list[dict[str, Any]]]:
    """Return a list of `entry(message, text, calls)` of each message that `read` gives, which may
    be long itself."""
    listed: list[dict[str, Any]] = []
    for number, some in enumerate(slices(prompt.once(read))):
        if number:
            yield False
        for message in some:
            if len(message.texts) + len(message.calls) > MESSAGES_AT_ONCE:
                text = yield from join_in_pieces(message.texts)
                calls = yield from read_slices(message.calls, _calls)
                prompt.let_go_later((calls,))
            else:
                text, calls = message.text, _calls(message.calls)
            listed.append(entry(message, text, calls))
    return listed


def _calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    return [{"call_id": call.call_id, "name": call.name} for call in calls]


def _message(
    message: ConversationMessage, text: str, calls: list[dict[str, Any]]
) -> dict[str, Any]:
    if isinstance(message, ToolResult):
        return {"role": message.role} | _result(message, text)
    return {"role": message.role, "text": text, "calls": calls}


def _result(result: ToolResult, text: str, calls: object = None) -> dict[str, Any]:
    return {"name": result.name, "call_id": result.call_id, "text": text, "error": result.error}


_VALUES: Mapping[str, Callable[[PromptView], Any]] = {
    "user": lambda view: view.user,
    "model": lambda view: view.model,
    "turn": lambda view: view.turn,
    "step": lambda view: view.step,
    "session": lambda view: view.session,
    "body": lambda view: view.body,
    "headers": lambda view: view.headers,
}
_LONG_VALUES: Mapping[str, Callable[[Prompt], Pieces[Any]]] = {
    "system": _system,
    "messages": _messages,
    "tools": _tools,
    "tool_results": _tool_results,
}
"""Values that may be long, which are made in pieces."""
_CALL = "call"
_COUNTED = "it is in templates that a mock has itself, and in those of a 'sequence' or 'first'"
NAMES = frozenset({*_VALUES, *_LONG_VALUES, _CALL})
"""The names that templates may use. A mock has state if it uses ``call``
(`config.texts.may_count_calls`)."""
