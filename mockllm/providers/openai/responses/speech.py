"""Finds the words of a model in the events of a response (openai 3.54.0: `ResponseStreamEvent`)."""

from __future__ import annotations

from typing import Any

from mockllm.providers.openai.responses.answer import USAGE, complete, complete_in_pieces
from mockllm.providers.openai.responses.stream import events, frame_or_pieces
from mockllm.providers.speech import Speaker


def _count_characters(event: dict[str, Any]) -> int:
    delta = event.get("delta")
    if isinstance(delta, str):
        return len(delta)
    if isinstance(delta, dict):  # of the output of a shell
        return sum(len(text) for text in delta.values() if isinstance(text, str))
    return 0


def _is_thought(event: dict[str, Any]) -> bool:
    return str(event.get("type")).startswith("response.reasoning")


SPEAKER = Speaker(
    complete=complete,
    complete_in_pieces=complete_in_pieces,
    events=events,
    frame=frame_or_pieces,
    characters=_count_characters,
    is_thought=_is_thought,
    output=USAGE.output,
    reasoning="reasoning_tokens",
    opening=2,  # response.created, response.in_progress
)
