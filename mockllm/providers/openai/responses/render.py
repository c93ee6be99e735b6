"""Renders configured responses as they go over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses import stream
from mockllm.providers.openai.responses.answer import complete
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The reply, whole or as a stream. A stream ends with its last event: this API sends no
    ``[DONE]``."""
    completed = complete(response)
    headers = OPENAI.stream_headers if options.stream else OPENAI.headers
    if not options.stream:
        return Reply.whole(200, headers, jsontext.dumps(completed))

    def frames() -> Iterator[bytes]:
        return map(stream.frame, stream.events(completed, options, chunk))

    return Reply.lazy_stream(200, headers, frames)
