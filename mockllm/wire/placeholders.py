"""Placeholders: bytes of a rendered reply that are filled in later.

A reply is rendered once and sent many times, but the responses of a real service have different ids
and times, and most of them name the requested model. So rendered bytes contain placeholders, which
are replaced in two stages:

    by the engine, with values of the request   MODEL, the number of TOKENS plus a constant, and
                                                the members that the response repeats, or ECHOES
    by the server, with values of the delivery  UNIQUE_ID  SECONDS  DATE  ELAPSED_MS

A placeholder begins and ends with bytes that never occur in UTF-8 (0xF9 to 0xFF; RFC 3629,
section 3) and that h11 accepts in the value of a header. All configured and received texts are
UTF-8, so none of them can be mistaken for a placeholder, and no text needs escaping.

Values of the delivery are as long as their placeholders, so they may be filled in after framing:
Content-Length and the sizes of HTTP chunks stay correct. ELAPSED_MS may be longer than its value,
because it occurs in headers only, which no length counts. Values of the request may have any
length, so they are filled in before framing.

For example, a mock without an id and a model is rendered, filled in and sent as

    {"id":"chatcmpl-<FF x 20>d41d8cd98","model":<FC>,"created":<FE x 10>}
    {"id":"chatcmpl-<FF x 20>d41d8cd98","model":"gpt-4o","created":<FE x 10>}
    {"id":"chatcmpl-5f0c3a9e17b24d6688fed41d8cd98","model":"gpt-4o","created":1741570283}

An echo contains the value of a request that lacks the member:

    "temperature":<F9>temperature:1.0<F9>

`fill` and `fill_fresh` are the simple implementation, which serves as the specification.
`replies.prepared` and `replies.ready` return the same bytes faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from mockllm.exchange import DividedBody, LazySteps, Reply, Step
from mockllm.limits import KIB
from mockllm.pieces import Pieces
from mockllm.wire import jsontext

UNIQUE_ID = b"\xff" * 20
"""Placeholder for 20 hexadecimal digits unique to each delivery; part of every generated id."""
SECONDS = b"\xfe" * 10
"""Placeholder for the Unix time in seconds."""
DATE = b"\xfd" * 29
"""Placeholder for the time in the form of RFC 9110, section 5.6.7 (IMF-fixdate)."""
ELAPSED_MS = b"\xfa" * 6
"""Placeholder for the milliseconds until the decision; in headers only, as its value is shorter."""

MODEL = b"\xfc"
"""Placeholder for the model of the request, as a JSON string."""
OF_REQUEST = re.compile(rb"(\xfc|\xfb\d+\xfb|\xf9[a-z_]+:[^\xf9]*\xf9)")
"""Matches each placeholder for a value of the request."""
TOKENS_MARK = b"\xfb"
"""The first and last byte of the placeholder for a number of tokens, with the constant between."""
_ECHO = re.compile(rb"\xf9([a-z_]+):([^\xf9]*)\xf9")
_ECHO_MARK = b"\xf9"
_OF_BODY = re.compile(rb"%b|%b" % (UNIQUE_ID, SECONDS))
_FIELDS = {UNIQUE_ID: 0, SECONDS: 1}  # in `FreshValues`
_MIN_BYTE_OF_DELIVERY = 0xFD  # of the placeholders that occur in bodies

MAX_PIECE = 32 * KIB  # bytes of a large step that are copied at a time

Echoed = Mapping[str, bytes]
"""Values of a request as JSON, by the names of their echoes. It lacks those that keep their
default."""

NOTHING_ECHOED: Echoed = MappingProxyType({})

Echo = Callable[[Mapping[str, Any], frozenset[str] | None], Echoed]
"""`echo(body, names)`: the values that a request contains for the echoes in `names`; for all echoes
if that is None. There are none if the body has no member of these names."""


EchoLong = Callable[[Mapping[str, Any]], Pieces[Echoed]]
"""`echo_long(body)`: the values that an `Echo` takes long to write, with pauses."""


def echo_nothing(body: Mapping[str, Any], names: frozenset[str] | None) -> Echoed:
    """The `Echo` of an API whose responses repeat no member of the request."""
    return NOTHING_ECHOED


class FreshValues(NamedTuple):
    """The values of one delivery: `unique_id` is 20 hexadecimal digits, `seconds` 10 digits of Unix
    time, `date` 29 characters (IMF-fixdate). `elapsed_ms` is the number of milliseconds until the
    decision, rounded up, in 1 to 6 digits."""

    unique_id: bytes
    seconds: bytes
    date: bytes
    elapsed_ms: bytes = b"1"


# --- Placing them --------------------------------------------------------------------------------


def model_placeholder() -> orjson.Fragment:
    """Return the placeholder for the model of the request, a JSON string."""
    return orjson.Fragment(MODEL)


def tokens_placeholder(plus: int = 0) -> orjson.Fragment:
    """Return the placeholder for the request's estimated tokens plus `plus`, a JSON number."""
    return orjson.Fragment(b"\xfb%d\xfb" % plus)


def echo_placeholder(name: str, default: Any) -> orjson.Fragment:
    """Return the placeholder for the echo `name`, which is `default` for a request without it."""
    return orjson.Fragment(_echo(name, jsontext.dumps(default)))


def with_optional_member(value: Any, name: str) -> orjson.Fragment:
    """Return `value`, followed by the member `name` of the same object if the request contains it.
    The echo's value is ``,"name":...`` then."""
    return orjson.Fragment(jsontext.dumps(value) + _echo(name, b""))


def _echo(name: str, default: bytes) -> bytes:
    return b"\xf9%b:%b\xf9" % (name.encode(), default)


def seconds_placeholder() -> orjson.Fragment:
    """Return the placeholder for the Unix time of the delivery in seconds, a JSON number."""
    return orjson.Fragment(SECONDS)


def fresh_id(prefix: str, length: int, place: str) -> orjson.Fragment:
    """Return the placeholder for an id that differs in each delivery, a JSON string: `prefix` and
    `length` (20 to 52) characters.

    `place` distinguishes the ids of one answer; within it, equal places have equal ids.
    """
    tail = id_tail(length, place)
    return orjson.Fragment(b'"' + prefix.encode() + UNIQUE_ID + tail.encode() + b'"')


def id_tail(length: int, place: str) -> str:
    """The characters that follow the unique part in every id of this `place`."""
    return blake2b(place.encode(), digest_size=16).hexdigest()[: length - len(UNIQUE_ID)]


# --- Filling them in -----------------------------------------------------------------------------


def needs_request(reply: Reply) -> bool:
    """Return True if `reply` has placeholders for values of the request."""
    return any(has_request_value(step.data) for step in reply.steps)


def has_request_value(data: bytes) -> bool:
    """Return True if `data` has placeholders for values of the request."""
    return MODEL in data or TOKENS_MARK in data or _ECHO_MARK in data


def needs_tokens(reply: Reply) -> bool:
    """Return True if `reply` has placeholders for the request's tokens."""
    return any(TOKENS_MARK in step.data for step in reply.steps)


def split_of_request(data: bytes) -> list[bytes]:
    """Return ``OF_REQUEST.split(data)``: the bytes between placeholders for values of the request,
    and those placeholders at the odd positions. In a large step the regular expression takes thirty
    times as long (12 ms a megabyte), in a small one half as long."""
    if len(data) <= MAX_PIECE:
        return OF_REQUEST.split(data)
    pieces: list[bytes] = []
    for at, part in enumerate(data.split(MODEL)):
        if at:
            pieces.append(MODEL)
        for number, piece in enumerate(_split_at(TOKENS_MARK, part)):
            pieces += [piece] if number % 2 else _split_at(_ECHO_MARK, piece)
    return pieces


def _split_at(mark: bytes, data: bytes) -> list[bytes]:
    """Return `data` split at the placeholders that begin and end with `mark`, with these at the odd
    positions."""
    parts = data.split(mark)
    parts[1::2] = [b"%b%b%b" % (mark, part, mark) for part in parts[1::2]]
    return parts


def echo_names(reply: Reply) -> frozenset[str]:
    """Return the names of the echoes in `reply`."""
    found = (_ECHO.findall(step.data) for step in reply.steps)
    return frozenset(name.decode() for echoes in found for name, _ in echoes)


def parse_echo(placeholder: bytes) -> tuple[str, bytes]:
    """Return the name and the default of an echo's placeholder."""
    name, _, default = placeholder[1:-1].partition(b":")
    return name.decode(), default


def fill_echoes(data: bytes, echoed: Echoed, names: AbstractSet[str] | None = None) -> bytes:
    """Return `data` with its echoes filled in, or those in `names` only. An echo that `echoed`
    lacks gets its default."""

    return b"".join(_split_with_echoes(data, echoed, names)) if _ECHO_MARK in data else data


def _split_with_echoes(
    data: bytes, echoed: Echoed, names: AbstractSet[str] | None = None
) -> list[bytes]:
    """Return the parts of what `fill_echoes` returns."""
    parts = data.split(_ECHO_MARK)  # a regular expression would take 12 ms for a megabyte
    for at in range(1, len(parts), 2):
        name, _, default = parts[at].partition(b":")
        if names is None or name.decode() in names:
            parts[at] = echoed.get(name.decode(), default)
        else:
            parts[at] = b"%b%b%b" % (_ECHO_MARK, parts[at], _ECHO_MARK)
    return parts


def fill_tokens(data: bytes, input_tokens: int) -> bytes:
    """Return `data` with its numbers of tokens filled in."""
    parts = data.split(TOKENS_MARK)
    parts[1::2] = [b"%d" % (int(plus) + input_tokens) for plus in parts[1::2]]
    return b"".join(parts)


@lru_cache(maxsize=256)
def model_name(model: str) -> bytes:
    """Return the JSON string that replaces MODEL."""
    return jsontext.dumps(model)


def fill(reply: Reply, *, model: str, input_tokens: int, echoed: Echoed = NOTHING_ECHOED) -> Reply:
    """Return `reply` with the values of the request filled in: lazily if its steps are lazy. No
    placeholder is cut between two pieces."""
    name = model_name(model)
    has_large_echo = any(len(value) > MAX_PIECE for value in echoed.values())

    def fill_data(data: bytes) -> tuple[bytes, ...]:
        data = data.replace(MODEL, name)
        if TOKENS_MARK in data:
            data = fill_tokens(data, input_tokens)
        if not has_large_echo:
            return cut(fill_echoes(data, echoed))
        parts = _split_with_echoes(data, echoed)  # to join 10 MB, and cut them, takes 10 ms
        return tuple(chain.from_iterable(map(cut, filter(None, parts)))) or (b"",)

    def filled() -> Iterator[Step]:
        for step in reply.steps:
            pieces = chain.from_iterable(map(fill_data, step.pieces))
            yield step._replace(pieces=tuple(pieces))

    match reply.steps:
        case DividedBody() as body:
            return replace(reply, steps=body.edited(fill_data))
        case LazySteps():
            return replace(reply, steps=LazySteps(filled))
    return replace(reply, steps=tuple(filled()))


def fill_fresh(data: bytes, fresh: FreshValues) -> bytes:
    """Return `data` with the values of the delivery filled in."""
    return (
        data.replace(UNIQUE_ID, fresh.unique_id)
        .replace(SECONDS, fresh.seconds)
        .replace(DATE, fresh.date)
        .replace(ELAPSED_MS, fresh.elapsed_ms)
    )


def fill_body(data: bytes, fresh: FreshValues) -> bytes:
    """Do what `fill_fresh` does with a part of a body, in half the time: DATE and ELAPSED_MS occur
    in headers only."""
    return data.replace(UNIQUE_ID, fresh.unique_id).replace(SECONDS, fresh.seconds)


class BodyTemplate(NamedTuple):
    """A part of a body whose values of the delivery are filled in soon: ``data % values(fresh)`` is
    what `fill_body` returns, in half the time."""

    data: bytes
    values: Callable[[FreshValues], Any]


def body_template(part: bytes) -> BodyTemplate | None:
    """Return a part of a body as a template; None if it has no placeholder of the delivery."""
    found = [_FIELDS[placeholder] for placeholder in _OF_BODY.findall(part)]
    if not found:
        return None
    data = _OF_BODY.sub(b"%b", part.replace(b"%", b"%%"))
    return BodyTemplate(data, itemgetter(*found))


STAND_INS = FreshValues(b"\x7f" * 20, b"7093264815", b"\x7f" * 29)
"""Values that stand for those of the delivery while a reply is read as JSON."""


def stand_in(data: bytes) -> bytes:
    """Return `data` with stand-ins for the values of the delivery: valid JSON."""
    return fill_fresh(data, STAND_INS)


def undo_stand_in(data: bytes) -> bytes:
    """Return `data`, a JSON text made of what `stand_in` returned, with its placeholders."""
    number = b":%b" % STAND_INS.seconds
    data = data.replace(STAND_INS.unique_id, UNIQUE_ID)
    return data.replace(number + b",", b":%b," % SECONDS).replace(number + b"}", b":%b}" % SECONDS)


def undo_in_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what `undo_stand_in` returns of a text in pieces, in about the same. A stand-in may be
    divided between two."""
    longest = max(len(STAND_INS.unique_id), len(b"%b" % STAND_INS.seconds) + 2)
    held = b""
    for piece in pieces:
        text = undo_stand_in(held + piece)
        at = end_of_placeholder(text, max(len(text) - longest, 0))
        held = text[at:]
        if at:
            yield text[:at]
    yield held


def end_of_placeholder(data: bytes, at: int) -> int:
    """Return `at`, or where the placeholder of the delivery ends that `at` is in."""
    while at < len(data) and data[at] >= _MIN_BYTE_OF_DELIVERY and data[at] == data[at - 1]:
        at += 1
    return at


def cut(data: bytes, size: int = MAX_PIECE) -> tuple[bytes, ...]:
    """Return `data` in pieces of about `size` bytes. No placeholder of the delivery is cut."""
    if len(data) <= size:
        return (data,)
    pieces = []
    start = 0
    while start < len(data):
        end = end_of_placeholder(data, start + size)
        pieces.append(data[start:end])
        start = end
    return tuple(pieces)
