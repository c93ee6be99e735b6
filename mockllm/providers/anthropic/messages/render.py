"""Renders configured messages as replies."""

from __future__ import annotations

from typing import Any

from mockllm.exchange import Frames, Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import complete
from mockllm.providers.anthropic.messages.stream import events, frame_or_pieces
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.envelope import answer_reply
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The reply, whole or as a stream. Never raises: members that cannot be streamed in pieces are
    sent whole."""
    completed = complete(response)

    def frames() -> Frames:
        return map(frame_or_pieces, events(completed, options, chunk))

    return answer_reply(ANTHROPIC, completed, frames, stream=options.stream)
