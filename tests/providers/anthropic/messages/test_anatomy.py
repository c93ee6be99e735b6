"""The parts of messages that faults refer to, beside those in `tests/replies/test_faults`."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.anthropic.messages.anatomy import ANATOMY
from mockllm.replies.anatomy import NO_EVENT, Event, SaidMember

DELTA = "content_block_delta"


def delta(**members: Any) -> Any:
    return {"type": DELTA, "index": 1, "delta": members}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "message_start", "message": {}}, Event("message_start")),
        (delta(text="a"), Event(DELTA, "a")),
        (delta(thinking="a"), Event(DELTA, "a")),
        (delta(signature="a"), Event(DELTA)),
        (delta(partial_json=""), Event(DELTA)),
        (delta(partial_json="{"), Event(DELTA, "{", 1)),
        (
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            Event("message_delta", is_finish=True),
        ),
        ({"type": "message_stop"}, Event("message_stop", is_end=True)),
        ({}, Event("None")),
        ("[DONE]", NO_EVENT),
    ],
)
def test_an_event_is_read(value: Any, expected: Event) -> None:
    assert ANATOMY.read_event(value) == expected


def test_a_message_is_read_block_by_block() -> None:
    content = [
        {"type": "thinking", "thinking": "a"},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "input": {"c": 1}},
        {"type": "text", "text": None},
    ]

    assert list(ANATOMY.read_answer({"content": content})) == [
        SaidMember("thinking", "a"),
        SaidMember("text", "b"),
        SaidMember("input", {"c": 1}, is_argument=True),
    ]
    assert list(ANATOMY.read_answer({"content": "text"})) == []


def test_an_error_of_the_edge_has_no_id() -> None:
    (event,) = ANATOMY.error_events({"error": {"type": "a", "message": "b"}}, None, 3)

    assert event == {"type": "error", "error": {"details": None, "type": "a", "message": "b"}}
