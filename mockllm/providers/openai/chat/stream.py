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
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from operator import le
from typing import Any, NamedTuple

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.chat import deltas
from mockllm.providers.openai.chat.deltas import are_objects
from mockllm.wire import jsontext, sse
from mockllm.wire.chunking import Chunk
from mockllm.wire.json_encoding import MAX_TEXT, dumps_in_pieces, takes_long
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
        yield _event(envelope | {"choices": choices}, options, is_large=_are_large(choices))
    if response.get("moderation") is not None:
        report = {"choices": [], "moderation": response["moderation"]}
        yield _event(envelope | report, options, is_large=takes_long(report))
    if options.include_usage:
        yield _event(envelope | {"choices": []}, options, usage=response.get("usage"))


def frame(event: Event) -> bytes:
    """One chunk on the wire: ``data: {...}`` and a blank line."""
    return sse.frame(event)


def _are_large(choices: Any) -> bool:
    """True if the choices of a chunk take long to encode. Those of most have a short text, and no
    member but their own four."""
    entry = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if type(entry) is dict and len(entry) == 4 and entry.get("logprobs") is None:
        delta = entry.get("delta")
        if type(delta) is dict and all(map(_is_short, delta.values())):
            return False
    return takes_long(choices)


def _is_short(value: Any) -> bool:
    return value is None or (type(value) is str and len(value) <= MAX_TEXT)


class LargeEvent(Event):
    """A chunk that takes long to encode. If it `is_obfuscated`, its obfuscation is found out while
    it is."""

    def __init__(self, event: Event, *, is_obfuscated: bool) -> None:
        super().__init__(event)
        self.is_obfuscated = is_obfuscated


def frame_or_pieces(event: Event) -> bytes | Iterator[bytes]:
    """One chunk on the wire, in pieces if it takes long to encode."""
    return _large_frame(event) if type(event) is LargeEvent else sse.frame(event)


def _large_frame(event: LargeEvent) -> Iterator[bytes]:
    """Yield what `frame` returns of the chunk, with its obfuscation."""
    noise, length = blake2b(digest_size=_BLOCK), 0
    held = b"data: "
    for piece in dumps_in_pieces(event):
        yield held
        held = piece
        text = fill_echoes(piece, NOTHING_ECHOED)
        noise.update(text)
        length += len(text.decode("utf-8", "replace"))
    if event.is_obfuscated:
        member = jsontext.dumps({"obfuscation": _noise(noise.digest(), length)})
        held = held.removesuffix(b"}") + b"," + member[1:]
    yield held
    yield b"\n\n"


def _envelope(response: dict[str, Any]) -> Event:
    members = {name: response[name] for name in response if name not in _NOT_IN_ENVELOPE}
    return deltas.in_order(members, _ENVELOPE) | {"object": "chat.completion.chunk"}


def _event(
    event: Event, options: ResponseOptions, *, usage: Any = None, is_large: bool = False
) -> Event:
    """A chunk with the members that the client requested: `usage` (null before the last chunk) and
    `obfuscation`."""
    if options.include_usage:
        event = event | {"usage": usage}
    if is_large:
        return LargeEvent(event, is_obfuscated=options.include_obfuscation)
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
    digest = blake2b(text, digest_size=_BLOCK).digest()
    return _noise(digest, len(text.decode("utf-8", "replace")))


def _noise(digest: bytes, length: int) -> str:
    """Characters of a `digest` that bring a text of this `length` to whole blocks."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[: -length % _BLOCK])


def _choices(choices: Any, chunk: Chunk) -> Iterator[Any]:
    """The `choices` of each chunk. An empty list, or anything but a list, is sent unchanged."""
    if not isinstance(choices, list) or not choices:
        yield choices
        return
    streams: deque[Iterator[_Part]] = deque()
    for at, choice in enumerate(_by_index(choices)):
        stream = _choice(choice, at, chunk)
        part = next(stream)
        yield part.choices
        if not part.is_last:
            streams.append(stream)
    while streams:
        part = next(streams[0])
        yield part.choices
        if part.is_last:
            streams.popleft()
        else:
            streams.rotate(-1)


def _by_index(choices: list[Any]) -> list[Any]:
    if not are_objects(choices):
        return choices
    numbers = [choice.get("index") for choice in choices]
    if not all(isinstance(number, int) for number in numbers):
        return choices
    if all(map(le, numbers, numbers[1:])):
        return choices
    return sorted(choices, key=lambda choice: choice["index"])


class _Part(NamedTuple):
    """The `choices` of a chunk of one choice, and whether it is its last one."""

    choices: list[Any]
    is_last: bool = False


def _choice(choice: Any, index: int, chunk: Chunk) -> Iterator[_Part]:
    """The chunks of one choice. The first chunk has the choice's unknown members,
    which the SDK's accumulator preserves only there, and `message` if it is not an object."""
    if not isinstance(choice, dict):
        yield _Part([choice], is_last=True)
        return
    unknown = {name: choice[name] for name in choice if name not in _CHOICE_MEMBERS}
    message = choice.get("message")
    if not isinstance(message, dict):
        unknown, message = unknown | {"message": message}, {}
    for piece in deltas.pieces(message, choice.get("logprobs"), chunk):
        yield _Part([_entry(index, piece) | unknown])
        unknown = {}
    finish = deltas.Piece({}, deltas.tokens_without_text(message, choice.get("logprobs")))
    yield _Part([_entry(index, finish, choice.get("finish_reason"))], is_last=True)


def _entry(index: int, piece: deltas.Piece, finish_reason: Any = None) -> Event:
    return {
        "index": index,
        "delta": piece.delta,
        "logprobs": piece.logprobs,
        "finish_reason": finish_reason,
    }
