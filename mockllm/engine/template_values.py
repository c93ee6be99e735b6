"""The values of a request that templates may use, by their names.

They are plain: texts, numbers, lists and objects, as in the JSON of a request. Each is read when a
template uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mockllm.exchange import Request
from mockllm.matching import readings
from mockllm.prompt import ConversationMessage, Prompt, ToolResult
from mockllm.redaction import HIDDEN, is_secret
from mockllm.replies.templates import TemplateError
from mockllm.state.sessions import COMMON

LOOKING_BACK = frozenset({"user", "messages", "tool_results", "turn", "step"})
"""The names of values that depend on what a request continues."""


class Asked(NamedTuple):
    """A request that an answer is made for, in a `session`."""

    prompt: Prompt
    request: Request
    session: str = COMMON


def user_words(prompt: Prompt) -> str:
    """Return the user's last words: the last text of the message, because agents put reminders
    before it. Empty if there is none."""
    words = readings.last_user(prompt)
    return words[-1] if words else ""


def read_values(names: Iterable[str], asked: Asked) -> dict[str, Any]:
    """Return the values called `names`.

    Raises:
        TemplateError: one is not known.
    """
    values = {name: VALUES[name](asked) for name in names}
    for name, value in values.items():
        if value is None:
            raise TemplateError(
                f"{name!r} is not known: the request continues a conversation that is not stored"
            )
    return values


def _message(message: ConversationMessage) -> dict[str, Any]:
    if isinstance(message, ToolResult):
        return {"role": message.role} | _result(message)
    calls = [{"call_id": call.call_id, "name": call.name} for call in message.calls]
    return {"role": message.role, "text": "\n".join(message.texts), "calls": calls}


def _result(result: ToolResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "call_id": result.call_id,
        "text": "\n".join(result.texts),
        "error": result.error,
    }


def _headers(asked: Asked) -> dict[str, str]:
    """The first value of each header; those that may be credentials are hidden."""
    lines = asked.request.first_values.items()
    names = {name.decode("latin-1"): value for name, value in lines}
    return {name: HIDDEN if is_secret(name) else _decode(value) for name, value in names.items()}


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")  # RFC 9110, section 5.5


VALUES: Mapping[str, Callable[[Asked], Any]] = {
    "user": lambda asked: user_words(asked.prompt),
    "system": lambda asked: "\n".join(asked.prompt.system()),
    "model": lambda asked: asked.prompt.model,
    "messages": lambda asked: [*map(_message, readings.spoken(asked.prompt))],
    "tools": lambda asked: [*asked.prompt.tools()],
    "tool_results": lambda asked: [*map(_result, readings.results(asked.prompt))],
    "turn": lambda asked: readings.turn(asked.prompt),
    "step": lambda asked: readings.step(asked.prompt),
    "session": lambda asked: asked.session,
    "body": lambda asked: asked.prompt.body,
    "headers": _headers,
}
"""The values by their names; a value that is None is not known."""
