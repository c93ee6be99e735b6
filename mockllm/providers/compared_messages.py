"""Finds the messages of a request that rules compare: the last one, and the turn before it.

In a large request they are made in pieces before it is read (`Prepared`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from mockllm.errors import RequestError
from mockllm.prompt import Message
from mockllm.providers.contents import PARTS_AT_ONCE


def last_and_turn(
    messages: list[Any], read: Callable[[Any], Message], prepared: Prepared | None = None
) -> tuple[Message, ...]:
    """The messages that rules compare: the last one and, if that is a system note, the turn
    before. Those that are `prepared` are not read again."""
    if prepared is not None:
        read = prepared.reader(read)
    elif not is_system_note(messages[-1]):
        return (read(messages[-1]),)
    last = read(messages[-1])
    turn = turn_before(messages, prepared)
    return (last,) if turn is None else (last, read(turn))


class Prepared(NamedTuple):
    """What has been done in pieces before a request is read: the `error` of its entries, and the
    messages that rules compare, by the `id` of their entry, as far as they are long. If the turn
    before system notes `is_known`, it is `turn`."""

    error: RequestError | None = None
    messages: Mapping[int, Message] = {}
    is_known: bool = False
    turn: Any | None = None

    def check(self) -> None:
        """Raise the error of the entries, if there is one."""
        if self.error is not None:
            raise self.error

    def reader(self, read: Callable[[Any], Message]) -> Callable[[Any], Message]:
        """Return `read`, but for the messages that are made."""

        def read_other(entry: Any) -> Message:
            message = self.messages.get(id(entry))
            return read(entry) if message is None else message

        return read_other


Preparing = Generator[None, None, Prepared]
"""Checks the entries of a request, and makes the messages of `Prepared`, with pauses."""


def last_in_pieces(
    entries: Any, read: Callable[[Any], Generator[None, None, Message | None]]
) -> Preparing:
    """Make the messages of `last_and_turn` that are long, with pauses; `read` makes one, None if it
    is not long. `entries` are valid."""
    if not isinstance(entries, list) or not entries:
        return Prepared()
    turn = yield from _after_system_notes(entries)
    messages: dict[int, Message] = {}
    for entry in (entries[-1], turn):
        message = None if entry is None else (yield from read(entry))
        if message is not None:
            messages[id(entry)] = message
    return Prepared(None, messages, is_known=True, turn=turn)


def turn_before(entries: list[Any], prepared: Prepared | None) -> Any | None:
    """The last entry that is not a system note, if a note follows it; else None. Agents append
    notes of their own after the user's turn. It is not looked for if it is `prepared`."""
    if prepared is not None and prepared.is_known:
        return prepared.turn
    if not is_system_note(entries[-1]):
        return None
    turns = (message for message in reversed(entries) if not is_system_note(message))
    return next(turns, None)


def _after_system_notes(entries: list[Any]) -> Generator[None, None, Any | None]:
    """Return what `turn_before` does, with pauses."""
    if not is_system_note(entries[-1]):
        return None
    for back, entry in enumerate(reversed(entries), 1):
        if not is_system_note(entry):
            return entry
        if not back % PARTS_AT_ONCE:
            yield
    return None


def is_system_note(message: Any) -> bool:
    """True for a system or developer message: instructions are not turns of the conversation."""
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
