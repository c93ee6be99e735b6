"""The parts of responses that faults refer to, beside those in `tests/replies/test_faults`."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses.anatomy import ANATOMY
from mockllm.replies.anatomy import NO_EVENT, Event, SaidMember

TEXT = "response.output_text.delta"
ARGUMENTS = "response.function_call_arguments.delta"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "response.created", "response": {}}, Event("response.created")),
        ({"type": TEXT, "delta": "a"}, Event(TEXT, "a")),
        ({"type": TEXT, "delta": None}, Event(TEXT)),
        ({"type": ARGUMENTS, "output_index": 1, "delta": "{"}, Event(ARGUMENTS, "{", 1)),
        *[
            ({"type": kind}, Event(kind, is_finish=True, is_end=True))
            for kind in ("response.completed", "response.incomplete", "response.failed")
        ],
        ({}, Event("None")),
        ("nonsense", NO_EVENT),
    ],
)
def test_an_event_is_read(value: Any, expected: Event) -> None:
    assert ANATOMY.read_event(value) == expected


def test_a_response_is_read_item_by_item() -> None:
    output = [
        {"type": "reasoning", "summary": [{"text": "a"}], "content": [{"text": "b"}]},
        {"type": "message", "content": [{"text": "c"}, {"refusal": "d"}, {"text": None}]},
        {"type": "function_call", "arguments": "{}"},
        {"type": "custom_tool_call", "input": "ls"},
        "nonsense",
    ]

    assert list(ANATOMY.read_answer({"output": output})) == [
        *(SaidMember("text", text) for text in "abc"),
        SaidMember("refusal", "d"),
        SaidMember("arguments", "{}", is_argument=True),
        SaidMember("input", "ls", is_argument=True),
    ]


def test_an_error_without_a_response_is_one_event() -> None:
    events = list(ANATOMY.error_events({"error": {"type": "a", "message": "b"}}, "[DONE]", 0))

    assert events == [
        {
            "type": "error",
            "sequence_number": 0,
            "error": {"type": "a", "code": None, "message": "b", "param": None},
        }
    ]


def test_a_failed_response_has_a_code() -> None:
    _, failed = ANATOMY.error_events(
        {"error": {"type": "server_error", "message": "b", "code": None}},
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        2,
    )

    assert failed == {
        "type": "response.failed",
        "sequence_number": 3,
        "response": {
            "id": "resp_1",
            "status": "failed",
            "error": {"code": "server_error", "message": "b"},
        },
    }
