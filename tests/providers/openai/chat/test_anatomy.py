"""The parts of chat completions that faults refer to; `tests/replies/test_faults` has more."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.chat.anatomy import ANATOMY
from mockllm.replies.anatomy import NO_EVENT, Event, SaidMember


def chunk(delta: Any, finish: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[DONE]", Event(is_end=True)),
        (chunk({"role": "assistant", "content": ""}), Event()),
        (chunk({"content": "a", "reasoning_content": "b"}), Event(text="ba")),
        (chunk({"refusal": "No"}), Event(text="No")),
        (chunk({}, "stop"), Event(is_finish=True)),
        (chunk({"function_call": {"arguments": "{}"}}), Event(text="{}", call=0)),
        (
            chunk({"tool_calls": [{"index": 2, "function": {"arguments": "{}"}}]}),
            Event(text="{}", call=2),
        ),
        (
            chunk({"tool_calls": [{"index": 1, "custom": {"input": "ls"}}]}),
            Event(text="ls", call=1),
        ),
        ({"choices": [], "usage": {}}, NO_EVENT),
        ({"choices": "none"}, NO_EVENT),
        (chunk(None), Event()),
        ("nonsense", NO_EVENT),
        (None, NO_EVENT),
        ([], NO_EVENT),
    ],
)
def test_a_chunk_is_read(value: Any, expected: Event) -> None:
    assert ANATOMY.read_event(value) == expected


def test_a_completion_is_read_in_the_order_of_its_stream() -> None:
    message = {
        "content": "b",
        "reasoning": "a",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"custom": {"input": "ls"}}],
        "function_call": {"arguments": "{1}"},
    }

    assert list(ANATOMY.read_answer({"choices": [{"message": message}, {"message": None}]})) == [
        SaidMember("reasoning", "a"),
        SaidMember("content", "b"),
        SaidMember("arguments", "{}", is_argument=True),
        SaidMember("input", "ls", is_argument=True),
        SaidMember("arguments", "{1}", is_argument=True),
    ]
