"""Normalises messages for comparison, by rules that all APIs share.

Two messages are equal if they are the same JSON after normalisation. It removes members that the
API does not declare, null members and `cache_control`, replaces a list of one text part by its
text, and parses arguments that are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mockllm.prompt import Message
from mockllm.wire import jsontext

Members = Mapping[str, Any]
KnownMembers = Mapping[str, Collection[str]]
"""For each `type` of part, block or item, the members that the API declares."""

IGNORED = frozenset({"cache_control"})
TEXT_TYPES = frozenset({"text", "input_text", "output_text"})


def known_members(value: Members, names: Collection[str] | None) -> dict[str, Any]:
    """The members of `names` (None: any) that are neither null nor ignored."""
    return {
        name: member
        for name, member in value.items()
        if member is not None and name not in IGNORED and (names is None or name in names)
    }


def known_part(value: Any, known: KnownMembers) -> Any:
    """A part, block or item with the members that its type declares; all if the type is unknown."""
    if not isinstance(value, dict):
        return value
    return known_members(value, known.get(value.get("type", "")) if _is_tagged(value) else None)


def content(value: Any, part: Callable[[Any], Any]) -> Any:
    """A content: its text if it is a string or one text part, else its parts, each normalised by
    `part`."""
    if not isinstance(value, list):
        return value
    text = only_text(value)
    return [part(entry) for entry in value] if text is None else text


def only_text(value: Any) -> str | None:
    """The text of a content that is a string or a list of one text part, else None."""
    if isinstance(value, str):
        return value
    match value:
        case [{"type": str() as kind, "text": str() as text}] if kind in TEXT_TYPES:
            return text
        case _:
            return None


def arguments(value: Any) -> Any:
    """Arguments of a call: their value if they are JSON, tagged so that no text equals it."""
    if not isinstance(value, str):
        return value
    try:
        return {"json": jsontext.loads(value.encode("utf-8", "replace"))}
    except ValueError:
        return value


def texts(value: Any) -> Iterator[str]:
    """The texts of a content: itself if it is a string, else each text part and each refusal."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            match part:
                case {"type": "refusal", "refusal": str() as text}:
                    yield text
                case {"type": str() as kind, "text": str() as text} if kind in TEXT_TYPES:
                    yield text


def text(value: Any) -> str:
    """`value` if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none if `value` is not a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text_to_contain(value: Any, where: str) -> str:
    """The text that a mock with `contains` looks for; empty if it has no content.

    Raises:
        ValueError: the content is not one text.
    """
    text = "" if value is None or value == [] else only_text(value)
    if text is None:
        raise ValueError(
            f"{where}: 'contains' looks for one text: expected a string or a list of one text "
            f"part, found {jsontext.json_type(value)}"
        )
    return text


def last_and_turn(messages: list[Any], subject: Callable[[Any], Message]) -> tuple[Message, ...]:
    """The messages that rules look at: the last one, and the turn before a system note."""
    turn = after_system_notes(messages)
    last = subject(messages[-1])
    return (last,) if turn is None else (last, subject(turn))


def after_system_notes(messages: list[Any]) -> Any | None:
    """The last message that is neither system nor developer, if another one follows it: agents
    append notes of their own after the user's turn. None otherwise."""
    if not is_system_note(messages[-1]):
        return None
    turns = (message for message in reversed(messages) if not is_system_note(message))
    return next(turns, None)


def is_system_note(message: Any) -> bool:
    """Whether a message is an instruction rather than a turn of the conversation."""
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _is_tagged(value: Members) -> bool:
    return isinstance(value.get("type"), str)
