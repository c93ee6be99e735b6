"""What a ready reply leaves open until it is sent: fresh ids, the time, the request's own words.

A reply is rendered once and sent many times, yet no two answers of a real service bear the same id
or the same time. So rendered bytes bear *marks*, replaced at the last moment. A mark is made of
bytes that no UTF-8 text contains (0xF9 to 0xFF, RFC 3629 section 3) and that h11 takes in a header
value, so nothing a user or a client writes can be taken for one.

    of the request, filled by the engine     MODEL  TOKENS (prompt tokens plus a number)
    of the delivery, filled when it is sent  TOKEN  SECONDS  DATE  TOOK (in headers only)

Marks of the delivery are as long as what replaces them: lengths and HTTP chunks stay true.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import orjson

from mockllm.exchange import Headers, Reply, Step
from mockllm.wire import jsontext

UNIQUE_ID = b"\xff" * 20
"""Twenty hexadecimal digits that no other answer bears: the heart of every fresh id."""
SECONDS = b"\xfe" * 10
"""Unix time in seconds."""
DATE = b"\xfd" * 29
"""The time as RFC 9110, section 5.6.7, writes it (IMF-fixdate)."""

ELAPSED_MS = b"\xfa" * 6
"""The milliseconds that it took to decide."""

MODEL = b"\xfc"
_TOKENS = re.compile(rb"\xfb(\d+)\xfb")
OF_REQUEST = re.compile(rb"(\xfc|\xfb\d+\xfb)")


def model_placeholder() -> orjson.Fragment:
    """Stands for the model that the request names, as a JSON string."""
    return orjson.Fragment(MODEL)


def tokens_placeholder(plus: int = 0) -> orjson.Fragment:
    """Stands for the request's estimated tokens plus `plus`, as a JSON number."""
    return orjson.Fragment(b"\xfb%d\xfb" % plus)


def seconds_placeholder() -> orjson.Fragment:
    """Stands for the time of delivery in seconds, as a JSON number."""
    return orjson.Fragment(SECONDS)


def fresh_id(prefix: str, length: int, place: str) -> orjson.Fragment:
    """Stands for a new id, as a JSON string: `prefix` and `length` (20 to 52) characters.

    `place` tells the ids of one answer apart; the same place gives the same id all through it.
    """
    tail = blake2b(place.encode(), digest_size=16).hexdigest()[: length - len(UNIQUE_ID)]
    return orjson.Fragment(b'"' + prefix.encode() + UNIQUE_ID + tail.encode() + b'"')


def needs_request(reply: Reply) -> bool:
    """Whether `reply` bears marks that only the request can fill."""
    return any(OF_REQUEST.search(step.data) for step in reply.steps)


def needs_tokens(reply: Reply) -> bool:
    """Whether `reply` bears marks that stand for the request's tokens."""
    return any(_TOKENS.search(step.data) for step in reply.steps)


@lru_cache(maxsize=256)
def model_name(model: str) -> bytes:
    """What a model's mark is filled with."""
    return jsontext.dumps(model)


def fill(reply: Reply, *, model: str, input_tokens: int) -> Reply:
    """`reply` with the marks of the request filled in."""
    name = model_name(model)

    def total(mark: re.Match[bytes]) -> bytes:
        return b"%d" % (int(mark[1]) + input_tokens)

    steps = tuple(
        Step(pause, _TOKENS.sub(total, data.replace(MODEL, name))) for pause, data in reply.steps
    )
    return replace(reply, steps=steps)


def fill_fresh(data: bytes, fresh: FreshValues) -> bytes:
    """`data` with the marks of the delivery filled in."""
    return (
        data.replace(UNIQUE_ID, fresh.unique_id)
        .replace(SECONDS, fresh.seconds)
        .replace(DATE, fresh.date)
        .replace(ELAPSED_MS, fresh.elapsed_ms)
    )


def whole(status: int, headers: Headers, body: bytes) -> Reply:
    """A reply that is sent in one piece."""
    return Reply(status, headers, (Step(0.0, body),))


def stream(status: int, headers: Headers, frames: list[bytes]) -> Reply:
    """A reply that is sent frame by frame, as yet without pauses."""
    return Reply(status, headers, tuple(Step(0.0, data) for data in frames), streamed=True)


class FreshValues(NamedTuple):
    """What is new in one delivery: `unique_id` 20 hexadecimal digits, `seconds` 10 digits of Unix
    time, `date` 29 characters (IMF-fixdate), `elapsed_ms` 6 characters: the milliseconds
    of deciding, rounded up, behind spaces (which a header's value may begin with)."""

    unique_id: bytes
    seconds: bytes
    date: bytes
    elapsed_ms: bytes = b"     1"
