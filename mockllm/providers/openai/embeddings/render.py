"""Completes, generates and renders embeddings (openai 3.54.0: `CreateEmbeddingResponse`)."""

from __future__ import annotations

import base64
import math
import struct
from hashlib import shake_128
from typing import Any

from mockllm.exchange import Reply
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.counts import count, indices
from mockllm.providers.members import fill_in
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import jsontext, placeholders
from mockllm.wire.chunking import Chunk

DIMENSIONS = 1536  # of text-embedding-3-small


def complete(response: dict[str, Any]) -> dict[str, Any]:
    """Fill in the missing members of a configured response: `object`, `model`, `usage`, and
    `object` and `index` of each entry of `data`."""
    completed = {"object": "list", "data": [], "model": placeholders.model_placeholder()} | response
    if isinstance(completed["data"], list):
        completed["data"] = list(map(_entry, completed["data"], indices(completed["data"])))
    usage = completed.setdefault("usage", {})
    if isinstance(usage, dict):
        completed["usage"] = _usage(usage)
    return completed


def render(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Reply:
    """The reply. In base64, if the request has that option, a vector is little-endian 32-bit
    floats."""
    completed = complete(response)
    if options.base64 and isinstance(completed["data"], list):
        completed["data"] = [_encode_vector(entry) for entry in completed["data"]]
    return Reply.whole(200, OPENAI.headers, jsontext.dumps(completed))


def text_response(text: str) -> dict[str, Any]:
    """A response with the vector of `text`."""
    return {"data": [{"embedding": vector(text, DIMENSIONS)}]}


def generate(prompt: Prompt) -> dict[str, Any]:
    """A response with a vector for each input, with the `dimensions` of the request."""
    value = prompt.body["input"]
    dimensions = prompt.body.get("dimensions") or DIMENSIONS
    is_one = isinstance(value, str) or isinstance(value[0], int)  # a list of numbers is one text
    inputs = [value] if is_one else value
    return {"data": [{"embedding": vector(each, dimensions)} for each in inputs]}


def vector(value: Any, dimensions: int) -> list[float]:
    """A vector of length 1 from a hash of `value`: equal for equal values, and nearly orthogonal
    for different ones. Each number is exact in 32 bits, so that base64 does not change it."""
    digest = shake_128(jsontext.canonical(value)).digest(4 * dimensions)
    numbers = struct.unpack(f"<{dimensions}i", digest)
    length = math.hypot(*numbers)
    floats = f"<{dimensions}f"
    return list(struct.unpack(floats, struct.pack(floats, *(each / length for each in numbers))))


def _usage(written: dict[str, Any]) -> dict[str, Any]:
    """`written`, completed so that the counts add up. Some services also have a count of
    completion tokens."""
    output = count(written.get("completion_tokens")) or 0
    prompt = count(written.get("prompt_tokens"))
    total = count(written.get("total_tokens"))
    missing: dict[str, Any] = {
        "prompt_tokens": placeholders.tokens_placeholder(),
        "total_tokens": placeholders.tokens_placeholder(output),
    }
    if "prompt_tokens" in written:
        missing["total_tokens"] = (prompt or 0) + output
    elif total is not None:
        missing["prompt_tokens"] = max(total - output, 0)
    return fill_in(written, missing, followed_by=())


def _entry(entry: Any, index: int) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {"object": "embedding", "index": index} | entry


def _encode_vector(entry: Any) -> Any:
    match entry:
        case {"embedding": [*numbers]} if all(map(_is_number, numbers)):
            try:
                packed = struct.pack(f"<{len(numbers)}f", *numbers)
            except (OverflowError, struct.error):  # too large for 32 bits: served as written
                return entry
            return entry | {"embedding": base64.b64encode(packed).decode()}
        case _:
            return entry


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
