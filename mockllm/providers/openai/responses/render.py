"""Renders configured responses as replies."""

from __future__ import annotations

from typing import Any

from mockllm.exchange import Frames, Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.envelope import answer_reply
from mockllm.providers.openai.responses import stream
from mockllm.providers.openai.responses.answer import complete
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The reply, whole or as a stream, which in this API has no ``[DONE]`` after its last event."""
    completed = complete(response)

    def frames() -> Frames:
        return map(stream.frame_or_pieces, stream.events(completed, options, chunk))

    return answer_reply(OPENAI, completed, frames, stream=options.stream)
