"""A configured message as it goes over the wire: whole, or as a stream of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic import vendor
from mockllm.providers.anthropic.messages.answer import complete
from mockllm.providers.anthropic.messages.stream import events, frame
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The answer that `response` configures, in the form that the client wants. Never raises: what
    cannot be streamed piece by piece goes out whole."""
    completed = complete(response)
    headers = vendor.anthropic_headers(stream=options.stream)
    if not options.stream:
        return Reply.whole(200, headers, jsontext.dumps(completed))

    def frames() -> Iterator[bytes]:
        return map(frame, events(completed, options, chunk))

    return Reply.lazy_stream(200, headers, frames)
