"""Members of messages that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.anthropic.messages.contradictions import find_contradictions

CALL = {"type": "tool_use", "name": "f"}
TEXT = {"type": "text", "text": "Hi"}
CACHES = {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6}


def found(response: dict[str, Any]) -> list[str]:
    """The contradictions as they are shown."""
    return [str(finding) for finding in find_contradictions(response)]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            {"content": [TEXT], "stop_reason": "tool_use"},
            "stop_reason: 'tool_use', but content has no block of this type",
        ),
        (
            {"content": [TEXT, CALL], "stop_reason": "end_turn"},
            "stop_reason: 'end_turn', but content[1] is a tool_use",
        ),
        (
            {"content": [TEXT], "stop_reason": "stop_sequence", "stop_sequence": None},
            "stop_reason: 'stop_sequence', but stop_sequence is missing or null",
        ),
        (
            {"stop_sequence": "END", "stop_reason": "max_tokens"},
            "stop_sequence: 'END', but stop_reason is 'max_tokens'",
        ),
        (
            {"usage": {"cache_creation_input_tokens": 12, "cache_creation": CACHES}},
            "usage.cache_creation_input_tokens: 12, but usage.cache_creation adds up to 11",
        ),
        (
            {"usage": {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 6}}},
            "usage.output_tokens_details.thinking_tokens: 6, but usage.output_tokens is 5",
        ),
    ],
)
def test_a_contradiction_names_both_places(response: dict[str, Any], message: str) -> None:
    assert found(response) == [message]


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"content": 5, "stop_reason": ["odd"], "stop_sequence": 5, "usage": 5},
        {"content": [CALL], "stop_reason": "max_tokens"},
        {"content": [TEXT], "stop_reason": "stop_sequence", "stop_sequence": "END"},
        {"usage": {"cache_creation_input_tokens": 11, "cache_creation": CACHES}},
        {
            "usage": {
                "cache_creation_input_tokens": 11,
                "cache_creation": {"ephemeral_5m_input_tokens": 5},
            }
        },
    ],
)
def test_answers_without_a_clear_contradiction(response: dict[str, Any]) -> None:
    assert found(response) == []
