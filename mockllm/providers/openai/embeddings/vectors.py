"""Vectors of embeddings: generated from an input, and encoded as a request asks for.

Knows numbers and bytes. It does not know the members of an answer.
"""

from __future__ import annotations

import base64 as base64_codec
import math
import struct
from hashlib import shake_128
from typing import Any, NamedTuple

from mockllm.wire import jsontext

DIMENSIONS = 1536  # of text-embedding-3-small
_SIZE = 4  # bytes of a number in base64
_NUMBERS = {int, float}  # not bool


def vector(value: Any, dimensions: int) -> list[float]:
    """A vector of length 1 from a hash of `value`: equal for equal values, and nearly orthogonal
    for different ones. Each number is exact in 32 bits, so that base64 does not change it."""
    digest = shake_128(jsontext.canonical(value)).digest(_SIZE * dimensions)
    numbers = struct.unpack(f"<{dimensions}i", digest)
    length = math.hypot(*numbers)
    floats = f"<{dimensions}f"
    return list(struct.unpack(floats, struct.pack(floats, *(each / length for each in numbers))))


class GeneratedVector(NamedTuple):
    """The `vector` of a value, which is not generated before it is sent."""

    value: Any
    dimensions: int


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
        embedding = vector(*embedding)
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
