"""Finds the words of a model in the events of a message (anthropic 2.12.0:
`RawMessageStreamEvent`)."""

from __future__ import annotations

from typing import Any

from mockllm.providers.anthropic.messages.answer import complete, complete_in_pieces
from mockllm.providers.anthropic.messages.stream import events, frame_or_pieces
from mockllm.providers.speech import Speaker

_SAID = ("text", "thinking", "partial_json")


def _count_characters(event: dict[str, Any]) -> int:
    delta = event.get("delta")
    if not isinstance(delta, dict):
        return 0
    texts = (delta.get(name) for name in _SAID)
    return sum(len(text) for text in texts if isinstance(text, str))


def _is_thought(event: dict[str, Any]) -> bool:
    delta = event.get("delta")
    return isinstance(delta, dict) and "thinking" in delta


SPEAKER = Speaker(
    complete=complete,
    complete_in_pieces=complete_in_pieces,
    events=events,
    frame=frame_or_pieces,
    characters=_count_characters,
    is_thought=_is_thought,
    output="output_tokens",
    reasoning="thinking_tokens",
    opening=1,  # message_start
)
