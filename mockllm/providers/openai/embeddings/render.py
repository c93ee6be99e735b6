"""Completes, generates and renders embeddings (openai 3.54.0: `CreateEmbeddingResponse`)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from mockllm.exchange import Reply
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.counts import count, indices
from mockllm.providers.members import fill_in
from mockllm.providers.openai.embeddings.batch import generate_vector, split
from mockllm.providers.openai.embeddings.vectors import (
    DIMENSIONS,
    encode,
    vector,
)
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import jsontext, placeholders
from mockllm.wire.chunking import Chunk


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
    if isinstance(completed["data"], list):
        completed["data"] = _encoded(completed["data"], base64=options.base64)
    return Reply.whole(200, OPENAI.headers, jsontext.dumps(completed))


def text_response(text: str) -> dict[str, Any]:
    """A response with the vector of `text`."""
    return {"data": [{"embedding": vector(text, DIMENSIONS)}]}


def generate(prompt: Prompt) -> dict[str, Any]:
    """A response with a vector for each input, with the `dimensions` of the request."""
    return {"data": [{"embedding": generate_vector(each)} for each in split(prompt)]}


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


def _encoded(entries: list[Any], *, base64: bool) -> list[Any]:
    """The entries with their vectors encoded. A vector that several entries share is encoded
    once."""
    encoded: dict[int, Any] = {}
    shared = Counter(id(entry.get("embedding")) for entry in entries if isinstance(entry, dict))
    answered = []
    for entry in entries:
        if isinstance(entry, dict) and "embedding" in entry:
            key = id(entry["embedding"])
            if key not in encoded:
                vector = encode(entry["embedding"], base64=base64)
                encoded[key] = (
                    orjson.Fragment(jsontext.dumps(vector)) if shared[key] > 1 else vector
                )
            answered.append(entry | {"embedding": encoded[key]})
        else:
            answered.append(entry)
    return answered
