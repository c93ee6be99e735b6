"""A chat completion as a stream of chunks (openai 3.54.0: `ChatCompletionChunk`).

    per choice   opening: role, content and refusal empty or null
                 what the message holds, piece by piece (`deltas`)
                 finish: an empty delta with the `finish_reason`
    at the end   `moderation`, where it is configured
                 `usage`, where the client asked for it
                 ``[DONE]``, which is no event

One choice a chunk. Of several choices the chunks take turns, as when a model writes them at once.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from hashlib import blake2b
from itertools import zip_longest
from typing import Any

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.chat import deltas
from mockllm.wire import jsontext, sse
from mockllm.wire.chunking import Chunk

Event = dict[str, Any]

_ENVELOPE = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_NOT_OF_THE_ENVELOPE = frozenset({"choices", "usage", "moderation", "obfuscation"})
_OF_A_CHOICE = frozenset({"index", "delta", "message", "logprobs", "finish_reason"})

_BLOCK = 16  # characters; obfuscation makes every chunk some whole blocks long
_ALPHABET = string.ascii_letters + string.digits


def events(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Iterator[Event]:
    """The chunks of a completed response, in order.

    All have the same envelope: `id`, `created`, `model`, and the other configured members of the
    response (`service_tier`, `system_fingerprint`, unknown ones). Choices are
    numbered from 0 in the order of their `index`: clients keep them in a list.
    """
    envelope = _envelope(response)
    for choices in _choices(response.get("choices"), chunk):
        yield _event(envelope | {"choices": choices}, options)
    if response.get("moderation") is not None:
        report = {"choices": [], "moderation": response["moderation"]}
        yield _event(envelope | report, options)
    if options.include_usage:
        yield _event(envelope | {"choices": []}, options, usage=response.get("usage"))


def frame(event: Event) -> bytes:
    """One chunk on the wire: ``data: {...}`` and a blank line."""
    return sse.frame(event)


def _envelope(response: dict[str, Any]) -> Event:
    members = {name: response[name] for name in response if name not in _NOT_OF_THE_ENVELOPE}
    return deltas.in_order(members, _ENVELOPE) | {"object": "chat.completion.chunk"}


def _event(event: Event, options: ResponseOptions, *, usage: Any = None) -> Event:
    """A chunk as the client asked for it: `usage` (null until the last chunk) and `obfuscation`
    are there only where they were asked for."""
    if options.include_usage:
        event = event | {"usage": usage}
    if options.include_obfuscation:
        event = event | {"obfuscation": _obfuscation(event)}
    return event


def _obfuscation(event: Event) -> str:
    """Characters that hide how long the rest of the chunk is.

    In recorded streams their number brings the JSON of the chunk, counted without this member, to
    a multiple of 16 characters; what only the delivery knows counts here as its mark does. They
    look random, but the same chunk has the same ones.
    """
    text = jsontext.dumps(event)
    length = -len(text.decode("utf-8", "replace")) % _BLOCK
    noise = blake2b(text, digest_size=_BLOCK).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in noise[:length])


def _choices(choices: Any, chunk: Chunk) -> Iterator[Any]:
    """The `choices` of each chunk. No choices, and what is no list, are sent as they are."""
    if not isinstance(choices, list) or not choices:
        yield choices
        return
    streams = [_choice(choice, at, chunk) for at, choice in enumerate(_by_index(choices))]
    for turn in zip_longest(*streams):
        yield from filter(None, turn)


def _by_index(choices: list[Any]) -> list[Any]:
    if not all(isinstance(choice, dict) for choice in choices):
        return choices
    if not all(isinstance(choice.get("index"), int) for choice in choices):
        return choices
    return sorted(choices, key=lambda choice: choice["index"])


def _choice(choice: Any, index: int, chunk: Chunk) -> Iterator[list[Any]]:
    """The `choices` of each chunk of one choice. The first has the choice's unknown members (there
    the SDK's accumulator keeps them), and `message` if it is not an object."""
    if not isinstance(choice, dict):
        yield [choice]
        return
    unknown = {name: choice[name] for name in choice if name not in _OF_A_CHOICE}
    message = choice.get("message")
    if not isinstance(message, dict):
        unknown, message = unknown | {"message": message}, {}
    for piece in deltas.pieces(message, choice.get("logprobs"), chunk):
        yield [_entry(index, piece) | unknown]
        unknown = {}
    left = deltas.Piece({}, deltas.tokens_without_text(message, choice.get("logprobs")))
    yield [_entry(index, left, choice.get("finish_reason"))]


def _entry(index: int, piece: deltas.Piece, finish_reason: Any = None) -> Event:
    return {
        "index": index,
        "delta": piece.delta,
        "logprobs": piece.logprobs,
        "finish_reason": finish_reason,
    }
