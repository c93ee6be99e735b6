"""Streams a chat completion in chunks (openai 3.54.0: `ChatCompletionChunk`).

    per choice   opening: role, content and refusal empty or null
                 the members of the message, piece by piece (`deltas`)
                 finish: an empty delta with the `finish_reason`
    at the end   `moderation`, if it is configured
                 `usage`, if the client requested it
                 ``[DONE]``, which is not a chunk

Each chunk has one choice. The chunks of several choices alternate, as if generated in parallel.
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
from mockllm.wire.placeholders import NOTHING_ECHOED, fill_echoes

Event = dict[str, Any]

_ENVELOPE = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_NOT_IN_ENVELOPE = frozenset({"choices", "usage", "moderation", "obfuscation"})
_CHOICE_MEMBERS = frozenset({"index", "delta", "message", "logprobs", "finish_reason"})

_BLOCK = 16  # characters; obfuscation pads every chunk to a multiple of this
_ALPHABET = string.ascii_letters + string.digits


def events(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Iterator[Event]:
    """The chunks of a completed response, in order.

    All have the same envelope: `id`, `created`, `model` and the other configured members of the
    response (`service_tier`, `system_fingerprint`, unknown ones). Choices are numbered from 0 in
    the order of their `index`, because clients use it as the index of a list.
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
    members = {name: response[name] for name in response if name not in _NOT_IN_ENVELOPE}
    return deltas.in_order(members, _ENVELOPE) | {"object": "chat.completion.chunk"}


def _event(event: Event, options: ResponseOptions, *, usage: Any = None) -> Event:
    """A chunk with the members that the client requested: `usage` (null before the last chunk) and
    `obfuscation`."""
    if options.include_usage:
        event = event | {"usage": usage}
    if options.include_obfuscation:
        event = event | {"obfuscation": _obfuscation(event)}
    return event


def _obfuscation(event: Event) -> str:
    """Characters that hide the length of the rest of the chunk.

    As in recorded streams, their number brings the JSON of the chunk, without this member, to a
    multiple of 16 characters. Values that are filled in later count with the length of their
    default or placeholder. The characters look random, but equal chunks get equal ones.
    """
    text = fill_echoes(jsontext.dumps(event), NOTHING_ECHOED)
    length = -len(text.decode("utf-8", "replace")) % _BLOCK
    noise = blake2b(text, digest_size=_BLOCK).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in noise[:length])


def _choices(choices: Any, chunk: Chunk) -> Iterator[Any]:
    """The `choices` of each chunk. An empty list, or anything but a list, is sent unchanged."""
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
    """The `choices` of each chunk of one choice. The first chunk has the choice's unknown members,
    which the SDK's accumulator preserves only there, and `message` if it is not an object."""
    if not isinstance(choice, dict):
        yield [choice]
        return
    unknown = {name: choice[name] for name in choice if name not in _CHOICE_MEMBERS}
    message = choice.get("message")
    if not isinstance(message, dict):
        unknown, message = unknown | {"message": message}, {}
    for piece in deltas.pieces(message, choice.get("logprobs"), chunk):
        yield [_entry(index, piece) | unknown]
        unknown = {}
    finish = deltas.Piece({}, deltas.tokens_without_text(message, choice.get("logprobs")))
    yield [_entry(index, finish, choice.get("finish_reason"))]


def _entry(index: int, piece: deltas.Piece, finish_reason: Any = None) -> Event:
    return {
        "index": index,
        "delta": piece.delta,
        "logprobs": piece.logprobs,
        "finish_reason": finish_reason,
    }
