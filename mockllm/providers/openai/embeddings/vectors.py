"""Vectors of embeddings: generated from an input, and encoded as a request asks for.

Knows numbers and bytes. It does not know the members of an answer.
"""

from __future__ import annotations

import base64 as base64_codec
import math
import struct
from collections.abc import Iterator
from hashlib import shake_128
from typing import Any

from mockllm.pieces import Pieces, finish
from mockllm.wire import jsontext

DIMENSIONS = 1536  # of text-embedding-3-small
CHARACTERS_AT_ONCE = 64 * 1024  # of a text, that are hashed without a pause: 0.3 ms
TOKENS_AT_ONCE = 10_000  # that are hashed without a pause: 0.5 ms
_SIZE = 4  # bytes of a number in base64
_NUMBERS = {int, float}  # not bool


def vector(value: Any, dimensions: int) -> list[float]:
    """A vector of length 1 from a hash of `value`: equal for equal values, and nearly orthogonal
    for different ones. Each number is exact in 32 bits, so that base64 does not change it."""
    return _vector_of(shake_128(jsontext.canonical(value)), dimensions)


class GeneratedVector:
    """The `vector` of a value, a text or the tokens of one, which is not generated before it is
    sent.

    It lets go of the value while that is hashed: to free 900,000 tokens at once takes 10 ms, and
    the answer may be the last that refers to them.
    """

    __slots__ = ("_between", "_end", "_hash", "_slices", "dimensions", "is_long")

    def __init__(self, value: str | list[Any], dimensions: int) -> None:
        self.dimensions = dimensions
        self._slices: Iterator[str | list[Any]]
        if isinstance(value, str):
            at_once, first, self._end = CHARACTERS_AT_ONCE, b'"', b'"'
            self._slices = (value[at : at + at_once] for at in range(0, len(value), at_once))
        else:
            at_once, first, self._end = TOKENS_AT_ONCE, b"[", b"]"
            slices = [value[at : at + at_once] for at in range(0, len(value), at_once)]
            self._slices = _taken(slices)
        self.is_long = len(value) > at_once
        """True if the value is hashed with pauses."""
        self._hash = shake_128(first)
        self._between = b""

    def in_pieces(self) -> Pieces[list[float]]:
        """Return the vector, with a pause after each slice of the value. It may be called again,
        also if the pieces of an earlier call are not done."""
        for some in self._slices:
            self._hash.update(self._between + jsontext.canonical(some)[1:-1])
            self._between = b"" if isinstance(some, str) else b","
            yield False
        self._hash.update(self._end)
        self._end = b""
        return _vector_of(self._hash, self.dimensions)


def _taken(slices: list[list[Any]]) -> Iterator[list[Any]]:
    """Yield the slices in order, which are removed."""
    slices.reverse()
    while slices:
        yield slices.pop()


def _vector_of(found: Any, dimensions: int) -> list[float]:
    numbers = struct.unpack(f"<{dimensions}i", found.digest(_SIZE * dimensions))
    length = math.hypot(*numbers)
    floats = f"<{dimensions}f"
    return list(struct.unpack(floats, struct.pack(floats, *(each / length for each in numbers))))


def count_numbers(embedding: Any) -> int:
    """The number of numbers in a vector, about that if it is in base64; 0 if it is none."""
    if isinstance(embedding, GeneratedVector):
        return embedding.dimensions
    if isinstance(embedding, str):
        return len(embedding) * 3 // (4 * _SIZE)
    return len(embedding) if isinstance(embedding, list) else 0


def encode(embedding: Any, *, base64: bool) -> Any:
    """A configured or generated vector, in base64 or as numbers. In base64, it is little-endian
    32-bit floats, as answers copied from the service have it. What is no vector is returned
    unchanged."""
    if isinstance(embedding, GeneratedVector):
        embedding = finish(embedding.in_pieces())
    if base64:
        return _to_base64(embedding)
    return _to_numbers(embedding)


def _to_base64(embedding: Any) -> Any:
    if not isinstance(embedding, list) or not set(map(type, embedding)) <= _NUMBERS:
        return embedding
    try:
        packed = struct.pack(f"<{len(embedding)}f", *embedding)
    except (OverflowError, struct.error):  # too large for 32 bits
        return embedding
    return base64_codec.b64encode(packed).decode()


def _to_numbers(embedding: Any) -> Any:
    if not isinstance(embedding, str):
        return embedding
    try:
        packed = base64_codec.b64decode(embedding, validate=True)
    except ValueError:
        return embedding
    count, rest = divmod(len(packed), _SIZE)
    if rest or not count:
        return embedding
    numbers = list(struct.unpack(f"<{count}f", packed))
    return numbers if all(map(math.isfinite, numbers)) else embedding
