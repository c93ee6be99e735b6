"""Placeholders: bytes of a rendered reply that are filled in later.

A reply is rendered once and sent many times, yet no two answers of a real service bear the same id
or the same time, and most name the model that was asked for. So rendered bytes hold placeholders,
and each is replaced at the last moment that does not know less:

    filled by the engine, with what the request knows   MODEL, and TOKENS plus a number
    filled by the server, with what the delivery knows  UNIQUE_ID  SECONDS  DATE  ELAPSED_MS

A placeholder is made of bytes that UTF-8 never uses (0xF9 to 0xFF; RFC 3629, section 3) and that
h11 accepts in a header's value. Users' texts and clients' texts are UTF-8, so nothing that anybody
writes can be taken for a placeholder, and no text needs escaping.

What the delivery fills in is as long as its placeholder, so lengths and HTTP chunks are right
before it is known. What the request fills in may have any length, so it is filled in before
framing.

For example, a mock that leaves out its id and its model is rendered, filled in and sent as

    {"id":"chatcmpl-<FF x 20>d41d8cd98","model":<FC>,"created":<FE x 10>}
    {"id":"chatcmpl-<FF x 20>d41d8cd98","model":"gpt-4o","created":<FE x 10>}
    {"id":"chatcmpl-5f0c3a9e17b24d6688fed41d8cd98","model":"gpt-4o","created":1741570283}

`fill` and `fill_fresh` are the plain way, and the specification. `replies.prepared` and
`replies.ready` do the same to bytes that are sent again and again, faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import orjson

from mockllm.exchange import LazySteps, Reply, Step
from mockllm.limits import KIB
from mockllm.wire import jsontext

UNIQUE_ID = b"\xff" * 20
"""Placeholder for 20 hexadecimal digits unique to each delivery; part of every generated id."""
SECONDS = b"\xfe" * 10
"""Placeholder for the Unix time in seconds."""
DATE = b"\xfd" * 29
"""Placeholder for the time in the form of RFC 9110, section 5.6.7 (IMF-fixdate)."""
ELAPSED_MS = b"\xfa" * 6
"""Placeholder for the milliseconds that deciding took; in headers only, where spaces may pad it."""

MODEL = b"\xfc"
OF_REQUEST = re.compile(rb"(\xfc|\xfb\d+\xfb)")
_TOKENS = re.compile(rb"\xfb(\d+)\xfb")
_LOWEST_OF_DELIVERY = 0xFD  # in bodies

MAX_PIECE = 32 * KIB  # bytes; a large answer to a slow peer is never copied whole


class FreshValues(NamedTuple):
    """The values of one delivery: `unique_id` 20 hexadecimal digits, `seconds` 10 digits of Unix
    time, `date` 29 characters (IMF-fixdate), `elapsed_ms` 6 characters: the milliseconds that
    deciding took, rounded up, padded with spaces."""

    unique_id: bytes
    seconds: bytes
    date: bytes
    elapsed_ms: bytes = b"     1"


# --- Placing them --------------------------------------------------------------------------------


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
    tail = id_tail(length, place)
    return orjson.Fragment(b'"' + prefix.encode() + UNIQUE_ID + tail.encode() + b'"')


def id_tail(length: int, place: str) -> str:
    """The characters that follow the unique part in every id of this `place`."""
    return blake2b(place.encode(), digest_size=16).hexdigest()[: length - len(UNIQUE_ID)]


# --- Filling them in -----------------------------------------------------------------------------


def needs_request(reply: Reply) -> bool:
    """Return whether `reply` has placeholders that only the request can fill."""
    return any(OF_REQUEST.search(step.data) for step in reply.steps)


def needs_tokens(reply: Reply) -> bool:
    """Return whether `reply` has placeholders for the request's tokens."""
    return any(_TOKENS.search(step.data) for step in reply.steps)


@lru_cache(maxsize=256)
def model_name(model: str) -> bytes:
    """The JSON string that takes the place of MODEL."""
    return jsontext.dumps(model)


def fill(reply: Reply, *, model: str, input_tokens: int) -> Reply:
    """`reply` with what the request knows filled in. Steps that are made as they are taken are
    filled as they are taken."""
    name = model_name(model)

    def total(placeholder: re.Match[bytes]) -> bytes:
        return b"%d" % (int(placeholder[1]) + input_tokens)

    def filled() -> Iterator[Step]:
        for step in reply.steps:
            data = _TOKENS.sub(total, step.data.replace(MODEL, name))
            yield step._replace(pieces=cut(data))

    lazy = isinstance(reply.steps, LazySteps)
    return replace(reply, steps=LazySteps(filled) if lazy else tuple(filled()))


def fill_fresh(data: bytes, fresh: FreshValues) -> bytes:
    """`data` with what the delivery knows filled in."""
    return (
        data.replace(UNIQUE_ID, fresh.unique_id)
        .replace(SECONDS, fresh.seconds)
        .replace(DATE, fresh.date)
        .replace(ELAPSED_MS, fresh.elapsed_ms)
    )


def cut(data: bytes, size: int = MAX_PIECE) -> tuple[bytes, ...]:
    """`data` in pieces of about `size` bytes, none of which begins or ends inside a placeholder."""
    if len(data) <= size:
        return (data,)
    pieces = []
    start = 0
    while start < len(data):
        end = start + size
        while end < len(data) and data[end] >= _LOWEST_OF_DELIVERY and data[end] == data[end - 1]:
            end += 1
        pieces.append(data[start:end])
        start = end
    return tuple(pieces)
