"""Renders configured chat completions as replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.envelope import answer_reply
from mockllm.providers.openai.chat import stream
from mockllm.providers.openai.chat.answer import complete
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import sse
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The reply, whole or as a stream that ends with ``[DONE]``."""
    completed = complete(response)

    def frames() -> Iterator[bytes | Iterator[bytes]]:
        yield from map(stream.frame_or_pieces, stream.events(completed, options, chunk))
        yield sse.DONE

    return answer_reply(OPENAI, completed, frames, stream=options.stream)
