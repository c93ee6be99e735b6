"""Server-Sent Events (WHATWG HTML, section 9.2.6), as the three APIs frame them.

Frames have no ``id:`` and no ``retry:``: the OpenAI SDK takes either for an event without data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockllm.wire import json_encoding, jsontext

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
"""Ends a Chat Completions stream."""


def frame(data: Any, *, event: str | None = None) -> bytes:
    """Encode one event. Anthropic's SDK skips frames without an event name; the OpenAI SDK needs
    none in Chat Completions."""
    line = b"data: " + jsontext.dumps(data) + b"\n\n"
    return line if event is None else b"event: " + event.encode() + b"\n" + line


def frame_in_pieces(data: Any, *, event: str | None = None) -> Iterator[bytes]:
    """Yield what `frame` returns, with the large texts in pieces."""
    yield b"data: " if event is None else b"event: %b\ndata: " % event.encode()
    yield from json_encoding.dumps_in_pieces(data)
    yield b"\n\n"


def divided(frame: Callable[[Any], bytes], event: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield what `frame` returns of an event, with the large texts in pieces. What comes before the
    data depends on its type alone."""
    before, data, _ = frame({"type": event.get("type")}).partition(b"data: ")
    yield before + data
    yield from json_encoding.dumps_in_pieces(event)
    yield b"\n\n"


def data_of(event: bytes) -> bytes:
    """Return the data of one encoded event; empty if it has none."""
    _, found, data = event.partition(b"data: ")
    return data.rstrip(b"\n") if found else b""
