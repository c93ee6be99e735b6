"""Completes, generates and renders embeddings (openai 3.54.0: `CreateEmbeddingResponse`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.counts import count, indices
from mockllm.providers.members import fill_in
from mockllm.providers.openai.embeddings.vectors import (
    DIMENSIONS,
    count_numbers,
    encode,
    vector,
)
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import jsontext, placeholders
from mockllm.wire.chunking import Chunk

MAX_NUMBERS_AT_ONCE = 8_192  # of an answer: 3 ms; a larger one is encoded while it is sent

_DATA = b"\xf8"  # marks the place of `data`; no UTF-8 text contains it


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
    """The reply, with each vector as numbers or in base64, whichever the request asks for."""
    completed = complete(response)
    data = completed["data"]
    if isinstance(data, list):
        if sum(count_numbers(each) for each in _embeddings(data)) > MAX_NUMBERS_AT_ONCE:
            pieces = partial(_pieces, completed, base64=options.base64)
            return Reply.lazy_whole(200, OPENAI.headers, pieces)
        completed["data"] = list(_encoded(data, base64=options.base64))
    return Reply.whole(200, OPENAI.headers, jsontext.dumps(completed))


def text_response(text: str) -> dict[str, Any]:
    """A response with the vector of `text`."""
    return {"data": [{"embedding": vector(text, DIMENSIONS)}]}


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


def _pieces(completed: dict[str, Any], *, base64: bool) -> Iterator[bytes]:
    """Yield the JSON text of a completed response in pieces: one for each entry of `data`."""
    text = jsontext.dumps(completed | {"data": orjson.Fragment(_DATA)})
    before, _, after = text.partition(_DATA)
    start = before + b"["
    for entry in _encoded(completed["data"], base64=base64):
        yield start + jsontext.dumps(entry)
        start = b","
    yield (b"" if completed["data"] else start) + b"]" + after


def _encoded(entries: list[Any], *, base64: bool) -> Iterator[Any]:
    """Yield the entries with their vectors encoded. A vector that several entries share is encoded
    once."""
    encoded: dict[int, Any] = {}
    shared = Counter(map(id, _embeddings(entries)))
    for entry in entries:
        if not isinstance(entry, dict) or "embedding" not in entry:
            yield entry
            continue
        embedding = entry["embedding"]
        vector = encoded.get(id(embedding))
        if vector is None:
            vector = encode(embedding, base64=base64)
            if shared[id(embedding)] > 1:
                vector = encoded[id(embedding)] = orjson.Fragment(jsontext.dumps(vector))
        yield entry | {"embedding": vector}


def _embeddings(entries: list[Any]) -> Iterator[Any]:
    """Yield the embeddings of the entries that have one."""
    return (
        entry["embedding"] for entry in entries if isinstance(entry, dict) and "embedding" in entry
    )
