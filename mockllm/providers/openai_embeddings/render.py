"""Embeddings answers (openai 3.54.0: `CreateEmbeddingResponse`)."""

from __future__ import annotations

import base64
import struct
from typing import Any

from mockllm import envelopes, jsontext, playback
from mockllm.chunking import Chunk
from mockllm.exchange import Reply
from mockllm.prompt import Form


def complete(response: dict[str, Any]) -> dict[str, Any]:
    """A configured response with what is absent filled in: `object`, `model`, `usage`, and for
    each entry of `data` its `object` and `index`."""
    completed = {"object": "list", "data": [], "model": playback.model_mark()} | response
    if isinstance(completed["data"], list):
        completed["data"] = [_entry(entry, at) for at, entry in enumerate(completed["data"])]
    tokens = playback.tokens_mark()
    completed.setdefault("usage", {"prompt_tokens": tokens, "total_tokens": tokens})
    return completed


def render(response: dict[str, Any], form: Form, chunk: Chunk) -> Reply:
    """The answer; with base64 asked for, lists of numbers become little-endian 32-bit floats."""
    completed = complete(response)
    if form.base64 and isinstance(completed["data"], list):
        completed["data"] = [_packed(entry) for entry in completed["data"]]
    return playback.whole(200, envelopes.openai_headers(), jsontext.dumps(completed))


def say(text: str) -> dict[str, Any]:
    """A response with one vector that depends on `text` alone."""
    numbers = [byte / 255 - 0.5 for byte in text.encode("utf-8", "replace")[:8].ljust(8, b"\0")]
    return {"data": [{"embedding": numbers}]}


def _entry(entry: Any, index: int) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {"object": "embedding", "index": index} | entry


def _packed(entry: Any) -> Any:
    match entry:
        case {"embedding": [*numbers]} if all(map(_is_number, numbers)):
            try:
                packed = struct.pack(f"<{len(numbers)}f", *numbers)
            except (OverflowError, struct.error):  # larger than 32 bits hold: served as written
                return entry
            return entry | {"embedding": base64.b64encode(packed).decode()}
        case _:
            return entry


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
