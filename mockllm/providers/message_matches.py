"""Compiles what a mock compares with the last message of a request, the same for all APIs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mockllm.matching.message_predicates import (
    ItemsEqual,
    LastMessagePredicate,
    MessageContains,
    Relaxed,
)
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.parts import Part, TextNames, mark_texts
from mockllm.matching.predicate import Predicate
from mockllm.prompt import MessagePart
from mockllm.providers.contents import only_text
from mockllm.wire import jsontext

Members = Mapping[str, Any]


def check_role(message: Members, roles: Collection[str]) -> None:
    """Check the role of a mock's message.

    Raises:
        ValueError: the role is not one of `roles`.
    """
    role = message.get("role")
    if not isinstance(role, str) or role not in roles:
        found = jsontext.describe(role) if "role" in message else "nothing"
        raise ValueError(f"role: expected one of {', '.join(roles)}, found {found}")


def compile_exact(
    message: dict[str, Any],
    canonical: Callable[[Any], bytes],
    texts: tuple[str, ...],
    relaxed: LastMessagePredicate | None = None,
) -> Predicate:
    """Compile a mock's message, whose role is valid, to the condition that a request's is equal.
    `texts` are those of its content; `relaxed` is the condition with ``contains``, for a remedy."""
    remedy = None if relaxed is None else Relaxed(relaxed)
    return ItemsEqual.of(
        (message,),
        canonical,
        texts,
        message["role"],
        relaxed=remedy,
        named_calls=() if relaxed is None else relaxed.named_calls,
    )


def compile_contains(
    value: Any, role: str, parts: Iterable[MessagePart], text_names: TextNames
) -> MessageContains | MessageHasParts:
    """Compile a mock's content to the condition that a message of this `role` contains it: one text
    or, compared part by part, several texts and other parts. `parts` are those of the content.

    Raises:
        ValueError: the content is neither a string nor a list.
    """
    text = "" if value is None or value == [] else only_text(value)
    if text is not None:
        return MessageContains(text, role)
    if not isinstance(value, list):
        found = jsontext.json_type(value)
        raise ValueError(f"content: expected a string or a list of parts, found {found}")
    texts, others = [], []
    for part in parts:
        text = only_text([part.value])
        if text is None:
            others.append(compile_part(part, text_names))
        else:
            texts.append(text)
    return MessageHasParts(tuple(dict.fromkeys(texts)), tuple(others), role)


def compile_part(part: MessagePart, text_names: TextNames) -> Part:
    """Compile a part of a mock's message, in normalised form."""
    wanted = mark_texts(part.value, text_names)
    return Part(b"%b" % jsontext.canonical(wanted), wanted, part.call_id)
