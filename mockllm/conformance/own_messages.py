"""The message or input that a mock is written for, and messages that meet conditions on the last
one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from mockllm.config.models import AnyMock
from mockllm.conformance.examples import TEXTS
from mockllm.conformance.requirements import Requirements
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual, MessageContains
from mockllm.matching.part_predicates import ItemsEndLike, MessageHasParts
from mockllm.matching.predicate import Predicate
from mockllm.providers.api import API


class OwnMessages(NamedTuple):
    """The last messages, or items of the input, of a request; None if any will do. `call_ids` are
    those of the calls whose results they are."""

    items: tuple[Any, ...] | None = None
    call_ids: tuple[str, ...] = ()


def own_messages(api: API, mock: AnyMock, requirements: Requirements) -> Iterator[OwnMessages]:
    """Yield what may stand at the end of a request so that it meets the requirements, what is
    written in `mock` first."""
    written = getattr(mock.match, api.match_field, None)
    if written is not None:
        yield _own(written)
    found = written is not None
    for condition, holds in requirements:
        for value in _values(api, condition) if holds else ():
            found = True
            yield _own(value)
    if not found:
        yield OwnMessages()


def _own(value: Any) -> OwnMessages:
    items = tuple(value) if isinstance(value, list) else (value,)
    return OwnMessages(items, tuple(_call_ids(items)))


def _call_ids(items: tuple[Any, ...]) -> Iterator[str]:
    for item in items:
        if not isinstance(item, dict):
            continue
        parts = item.get("content") if isinstance(item.get("content"), list) else []
        for each in (item, *(part for part in parts or () if isinstance(part, dict))):
            for name in ("tool_call_id", "tool_use_id", "call_id"):
                if isinstance(each.get(name), str):
                    yield each[name]


def _values(api: API, condition: Predicate) -> Iterator[Any]:
    """Yield messages, or inputs, for which a condition on the last one is likely to hold."""
    match condition:
        case MessageContains(text, role):
            for extra in ("", *TEXTS):
                yield _message(api, role, f"{text} {extra}" if extra and text else text or extra)
        case MessageHasParts(texts, parts, role):
            blocks = [{"type": "text", "text": text} for text in texts]
            content = [*blocks, *(orjson.loads(part.key) for part in parts)]
            yield (
                content
                if api.match_field == "input"
                else {"role": role or "user", "content": content}
            )
        case ItemsEqual(key=key) | ItemsEndWith(key=key):
            items = orjson.loads(b"[%b]" % key)
            yield items if api.match_field == "input" else items[0]
        case ItemsEndLike(items):
            yield [orjson.loads(each if isinstance(each, bytes) else each.key) for each in items]


def _message(api: API, role: str | None, text: str) -> Any:
    return text if api.match_field == "input" else {"role": role or "user", "content": text}
