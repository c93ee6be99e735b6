"""Completes, generates and renders embeddings (openai 3.54.0: `CreateEmbeddingResponse`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import orjson

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.counts import count, indices
from mockllm.providers.members import fill_in
from mockllm.providers.openai.embeddings.vectors import (
    DIMENSIONS,
    GeneratedVector,
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
        if _takes_long(list(_embeddings(data))):
            pieces = partial(_pieces, completed, base64=options.base64)
            return Reply.lazy_whole(200, OPENAI.headers, pieces)
        encoder = _Encoder(data, base64=options.base64)
        completed["data"] = list(map(encoder.encode, data))
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


def _takes_long(embeddings: Sequence[Any]) -> bool:
    """True for the embeddings of an answer that is encoded while it is sent."""
    if sum(map(count_numbers, embeddings)) > MAX_NUMBERS_AT_ONCE:
        return True
    return any(isinstance(each, GeneratedVector) and each.is_long for each in embeddings)


def _pieces(completed: dict[str, Any], *, base64: bool) -> Iterator[bytes]:
    """Yield the JSON text of a completed response in pieces: one for each entry of `data`, and
    empty ones for the pauses in generating a vector of a long input."""
    text = jsontext.dumps(completed | {"data": orjson.Fragment(_DATA)})
    before, _, after = text.partition(_DATA)
    start = before + b"["
    encoder = _Encoder(completed["data"], base64=base64)
    for entry in completed["data"]:
        for _ in encoder.generate(entry):
            yield b""
        yield start + jsontext.dumps(encoder.encode(entry))
        start = b","
    yield (b"" if completed["data"] else start) + b"]" + after


class _Encoder:
    """Encodes the vectors of `entries`. One that several entries share is encoded once."""

    def __init__(self, entries: list[Any], *, base64: bool) -> None:
        self._base64 = base64
        self._shared = Counter(map(id, _embeddings(entries)))
        self._encoded: dict[int, Any] = {}
        self._generated: dict[int, list[float]] = {}

    def generate(self, entry: Any) -> Iterator[bool]:
        """Generate the vector of an entry, if that of a long input is to be generated for it, with
        pauses; `encode` takes it."""
        for embedding in _embeddings([entry]):
            if isinstance(embedding, GeneratedVector) and embedding.is_long:
                self._generated[id(embedding)] = yield from embedding.in_pieces()

    def encode(self, entry: Any) -> Any:
        """Return an entry with its vector encoded."""
        if not isinstance(entry, dict) or "embedding" not in entry:
            return entry
        embedding = entry["embedding"]
        found = self._encoded.get(id(embedding))
        if found is None:
            generated = self._generated.pop(id(embedding), embedding)
            found = encode(generated, base64=self._base64)
            if self._shared[id(embedding)] > 1:
                found = self._encoded[id(embedding)] = orjson.Fragment(jsontext.dumps(found))
        return entry | {"embedding": found}


def _embeddings(entries: list[Any]) -> Iterator[Any]:
    """Yield the embeddings of the entries that have one."""
    return (
        entry["embedding"] for entry in entries if isinstance(entry, dict) and "embedding" in entry
    )
