"""A configured message as it goes over the wire: whole, or as a stream of events."""

from __future__ import annotations

from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import complete
from mockllm.providers.anthropic.messages.stream import events, frame
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.wire import jsontext, placeholders
from mockllm.wire.chunking import Chunk


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The answer that `response` configures, in the form that the client wants. Never raises: what
    cannot be streamed piece by piece goes out whole."""
    completed = complete(response)
    headers = ANTHROPIC.stream_headers if options.stream else ANTHROPIC.headers
    if options.stream:
        return placeholders.stream(
            200, headers, list(map(frame, events(completed, options, chunk)))
        )
    return placeholders.whole(200, headers, jsontext.dumps(completed))
