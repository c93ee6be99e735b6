"""The parts of messages that faults refer to (anthropic 2.12.0: `RawMessageStreamEvent`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.anthropic.messages.stream import frame
from mockllm.replies.anatomy import NO_EVENT, Anatomy, Event, SaidMember, entries_of, texts_of


def _read_event(value: Any) -> Event:
    if not isinstance(value, dict):
        return NO_EVENT
    kind = str(value.get("type"))
    delta = value.get("delta")
    text = texts_of(delta, ("text", "thinking"))
    arguments = texts_of(delta, ("partial_json",))
    return Event(
        kind,
        text + arguments,
        value.get("index") if arguments else None,
        is_finish=kind == "message_delta",
        is_end=kind == "message_stop",
    )


def _read_answer(answer: dict[str, Any]) -> Iterator[SaidMember]:
    for block in entries_of(answer, "content"):
        for member in ("text", "thinking"):
            if isinstance(block.get(member), str):
                yield SaidMember(member, block[member])
        if isinstance(block.get("input"), dict):
            yield SaidMember("input", block["input"], is_argument=True)


def _error_events(body: dict[str, Any], first: Any, sent: int) -> Iterator[dict[str, Any]]:
    """As recorded from the service, with `details` before the type."""
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else {}
    yield {
        "type": "error",
        "error": {"details": None, "type": error.get("type"), "message": error.get("message")},
        **({"request_id": body["request_id"]} if "request_id" in body else {}),
    }


ANATOMY = Anatomy(_read_event, _read_answer, _error_events, frame)
