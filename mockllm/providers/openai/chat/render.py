"""A configured chat completion as it goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.openai import vendor
from mockllm.providers.openai.chat import stream
from mockllm.providers.openai.chat.answer import complete
from mockllm.wire import jsontext, sse
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The answer, whole or as a stream that ends with ``[DONE]``."""
    completed = complete(response)
    headers = vendor.openai_headers(stream=options.stream)
    if not options.stream:
        return Reply.whole(200, headers, jsontext.dumps(completed))

    def frames() -> Iterator[bytes]:
        yield from map(stream.frame, stream.events(completed, options, chunk))
        yield sse.DONE

    return Reply.lazy_stream(200, headers, frames)
