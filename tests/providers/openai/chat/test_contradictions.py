"""Members of chat completions that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.chat.contradictions import find_contradictions
from tests.support.goldens import cases

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 99}
CALL = {"function": {"name": "f"}}


def found(response: dict[str, Any]) -> list[str]:
    """The contradictions as they are shown."""
    return [str(finding) for finding in find_contradictions(response)]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            {"usage": USAGE},
            "usage.total_tokens: 99, but prompt_tokens + completion_tokens is 12",
        ),
        (
            {"choices": [{"index": 1}, {}, {"index": 1}]},
            "choices.2.index: 1, which is also the index of choices[0]",
        ),
        (
            {"choices": [{"finish_reason": "tool_calls", "message": {"content": "Hi"}}]},
            "choices.0.finish_reason: 'tool_calls', but choices[0].message has no tool_calls",
        ),
        (
            {"choices": [{"finish_reason": "function_call", "message": {"tool_calls": [CALL]}}]},
            "choices.0.finish_reason: 'function_call', but choices[0].message has no function_call",
        ),
    ],
)
def test_a_contradiction_names_both_places(response: dict[str, Any], message: str) -> None:
    assert found(response) == [message]


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"choices": 5, "usage": 5},
        {"choices": [5, {"index": 0, "finish_reason": ["odd"]}, {"index": 1, "message": "odd"}]},
        {"model": "gemini-3-pro", "usage": USAGE},  # thoughts are in the total only
        # a forced call, and what several services send
        {"choices": [{"finish_reason": "stop", "message": {"tool_calls": [CALL]}}]},
    ],
)
def test_answers_without_a_clear_contradiction(response: dict[str, Any]) -> None:
    assert found(response) == []


@pytest.mark.parametrize("case", cases("openai/chat"), ids=lambda case: case.folder.name)
def test_any_answer_can_be_read(case: Any) -> None:
    assert all(": " in message for message in found(case.response))
