"""Finds the words of a model in the chunks of a chat completion (openai 3.54.0:
`ChatCompletionChunk`)."""

from __future__ import annotations

from typing import Any

from mockllm.providers.openai.chat.answer import USAGE, complete, complete_in_pieces
from mockllm.providers.openai.chat.stream import events, frame_or_pieces
from mockllm.providers.openai.chat.texts import REASONING
from mockllm.providers.speech import Speaker
from mockllm.wire import sse

_SAID = frozenset(
    {*REASONING, "content", "refusal", "transcript", "name", "arguments", "input"}
    | {"text", "summary", "thinking"}  # of entries in the reasoning of other services
)
"""The members, at any depth of a delta, whose text the model generates."""


def _deltas(event: dict[str, Any]) -> list[dict[str, Any]]:
    choices = event.get("choices")
    entries = choices if isinstance(choices, list) else ()
    deltas = [choice.get("delta") for choice in entries if isinstance(choice, dict)]
    return [delta for delta in deltas if isinstance(delta, dict)]


def _count_characters(event: dict[str, Any]) -> int:
    """The number of characters of the model's output in a chunk."""
    return sum(_count_in(delta) for delta in _deltas(event))


def _count_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_count_in, value))
    if not isinstance(value, dict):
        return 0
    return sum(
        (len(member) if name in _SAID else 0) if isinstance(member, str) else _count_in(member)
        for name, member in value.items()
    )


def _is_thought(event: dict[str, Any]) -> bool:
    return any(isinstance(delta.get(name), str) for delta in _deltas(event) for name in REASONING)


SPEAKER = Speaker(
    complete=complete,
    complete_in_pieces=complete_in_pieces,
    events=events,
    frame=frame_or_pieces,
    characters=_count_characters,
    is_thought=_is_thought,
    output=USAGE.output,
    reasoning="reasoning_tokens",
    closing=(sse.DONE,),
)
