"""The parts of responses that faults refer to (openai 3.54.0: `ResponseStreamEvent`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.openai.responses.stream import frame
from mockllm.replies.anatomy import NO_EVENT, Anatomy, Event, SaidMember, entries_of, texts_of

_ARGUMENTS = frozenset(
    {
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
    }
)
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


def _read_event(value: Any) -> Event:
    if not isinstance(value, dict):
        return NO_EVENT
    kind = str(value.get("type"))
    text = texts_of(value, ("delta",)) if kind.endswith(".delta") else ""
    call = value.get("output_index") if kind in _ARGUMENTS else None
    return Event(kind, text, call, is_finish=kind in _LAST, is_end=kind in _LAST)


def _read_answer(answer: dict[str, Any]) -> Iterator[SaidMember]:
    for item in entries_of(answer, "output"):
        parts = [*entries_of(item, "summary"), *entries_of(item, "content")]
        for part in parts:
            for member in ("text", "refusal"):
                if isinstance(part.get(member), str):
                    yield SaidMember(member, part[member])
        for member in ("arguments", "input"):
            if isinstance(item.get(member), str):
                yield SaidMember(member, item[member], is_argument=True)


def _error_events(body: dict[str, Any], first: Any, sent: int) -> Iterator[dict[str, Any]]:
    """As recorded from the service: the error, nested in an event, then the failed response. Its
    SDK declares a flat event, which no service sends."""
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else {}
    names = ("type", "code", "message", "param")
    yield {
        "type": "error",
        "sequence_number": sent,
        "error": {name: error.get(name) for name in names},
    }
    response = first.get("response") if isinstance(first, dict) else None
    if isinstance(response, dict):
        code = error.get("code") or error.get("type")
        failed = {"status": "failed", "error": {"code": code, "message": error.get("message")}}
        yield {
            "type": "response.failed",
            "sequence_number": sent + 1,
            "response": response | failed,
        }


ANATOMY = Anatomy(_read_event, _read_answer, _error_events, frame, repeats_first=True)
