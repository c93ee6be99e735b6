"""Delivered responses that clients may retrieve, and the ids that identify them.

Storing a response is cheap: only the body of the request, the answer and the values of the delivery
are stored, and the response is rendered again when it is retrieved. A generated id contains the
unique id of the delivery, which encodes the slot of the worker process that delivered it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mockllm.prompt import Earlier
from mockllm.state.sessions import COMMON
from mockllm.wire.chunking import Chunk
from mockllm.wire.placeholders import FreshValues, id_tail

MAX_RESPONSES = 1_000
MAX_BYTES = (
    16 * 1024 * 1024
)  # of requests and made answers: the last 160 of an agent that sends 100 kB each
PER_ENTRY = 512  # bytes; the approximate size of an entry without its body

OTHER_SERVERS = -1  # in place of a slot

_SLOT_BITS = 12  # 4096 workers
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_END_BITS = 36  # those of a number at the end of an id
_END_MASK = (1 << _END_BITS) - 1
_BEGINNING_MASK = (1 << 32) - 1  # those at its beginning
_GENERATED = re.compile(rf"resp_([0-9a-f]{{20}}){id_tail(48, 'response')}")
"""An id that this server has generated: the part behind the unique one tells it from a recorded id
of the real service."""


def make_unique_id(number: int, slot: int) -> bytes:
    """Return twenty hexadecimal digits that encode the `slot` of a worker and the lower 68 bits of
    `number`: a beginning and an end."""
    return make_beginning(number >> _END_BITS) + make_end(number, slot)


def make_beginning(number: int) -> bytes:
    """Return the first eight digits of an id: the lower 32 bits of `number`."""
    return b"%08x" % (number & _BEGINNING_MASK)


def make_end(number: int, slot: int) -> bytes:
    """Return the last twelve digits of an id: the `slot` and the lower 36 bits of `number`. The
    slot is XORed with the number, so that all digits look random."""
    number &= _END_MASK
    return b"%012x" % ((slot ^ (number & _SLOT_MASK)) << _END_BITS | number)


def slot_of(response_id: str) -> int | None:
    """Return the slot of the worker that delivered the response with this id; None if the id was
    not generated."""
    found = _GENERATED.fullmatch(response_id)
    if found is None:
        return None
    end = int(found[1][-12:], 16)
    return (end >> _END_BITS) ^ (end & _SLOT_MASK)


def own_keys(response_id: str) -> list[str]:
    """Return the keys, within its session, of the responses that may have this id."""
    generated = _GENERATED.fullmatch(response_id)
    return [response_id] if generated is None else [generated[1], response_id]


class StoredResponse(NamedTuple):
    """One delivered response: the request's `body`, the answer (`engine.decision.Answer`) as
    `response`, `chunk` and `events`, and the values of its delivery. Only its `session` sees it.
    `answer_size` is that of an answer in bytes which no other response shares, else 0."""

    body: bytes
    response: dict[str, Any]
    chunk: Chunk
    events: Sequence[Any] | None
    fresh: FreshValues
    cancelled: bool = False
    session: str = COMMON
    answer_size: int = 0

    @property
    def size(self) -> int:
        """The bytes that storing it takes."""
        return PER_ENTRY + len(self.body) + self.answer_size

    @property
    def key(self) -> str:
        """The session, and the configured id; the unique id of the delivery if there is none."""
        return _key(self.session, self.own_key)

    @property
    def own_key(self) -> str:
        """The key within the session."""
        configured = self.response.get("id")
        return configured if isinstance(configured, str) else self.fresh.unique_id.decode()


def _key(session: str, own: str) -> str:
    return f"{session}/{own}"  # the name of a session has no slash


class StoredResponses:
    """The latest responses, bounded by number and bytes. A response replaces an older one with the
    same configured id."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredResponse] = {}
        self._keys: dict[str, dict[str, None]] = {}  # by session, for those that end
        self._size = 0
        self._earlier: dict[str, tuple[str, Earlier]] = {}
        """The conversations that end with a response, by its key, as far as they were asked for,
        each with the id by which it was."""
        self._elsewhere: dict[str, dict[str, Earlier]] = {}
        """Those that end with a response of another process, by session and id."""

    def __len__(self) -> int:
        return len(self._stored)

    def find(self, response_id: str, session: str = COMMON) -> StoredResponse | None:
        """Return the response of this session that may have this id, or None. The rest of a
        generated id is verified by rendering the response, which is left to the caller."""
        found = (self._stored.get(_key(session, own)) for own in own_keys(response_id))
        return next((each for each in found if each is not None), None)

    def append(self, stored: StoredResponse) -> None:
        """Add a response, or replace the one with the same key."""
        self.remove(stored.key)
        self._stored[stored.key] = stored
        if stored.session != COMMON:
            self._keys.setdefault(stored.session, {})[stored.key] = None
        self._size += stored.size
        while len(self._stored) > MAX_RESPONSES or self._size > MAX_BYTES:
            self.remove(next(iter(self._stored)))

    def remove(self, key: str) -> None:
        """Remove the response with this key, if it is stored."""
        self._earlier.pop(key, None)
        removed = self._stored.pop(key, None)
        if removed is not None:
            self._size -= removed.size
            if removed.session != COMMON:
                self._forget_key(removed.session, key)

    def note_earlier(self, stored: StoredResponse, response_id: str, earlier: Earlier) -> None:
        """Note the conversation that ends with a response with this id, unless it was replaced or
        removed meanwhile."""
        if self._stored.get(stored.key) is stored:
            self._earlier[stored.key] = (response_id, earlier)

    def find_earlier(self, response_id: str, session: str) -> Earlier | None:
        """Return the conversation that `note_earlier` noted for the response with this id, which is
        stored; None if there is none."""
        stored = self.find(response_id, session)
        known = None if stored is None else self._earlier.get(stored.key)
        return known[1] if known is not None and known[0] == response_id else None

    def note_elsewhere(self, response_id: str, session: str, earlier: Earlier) -> None:
        """Note the conversation that ends with a response of another process, which one that is
        stored here continues."""
        known = self._elsewhere.setdefault(session, {})
        known.pop(response_id, None)
        known[response_id] = earlier
        if len(known) > MAX_RESPONSES:
            del known[next(iter(known))]

    def find_elsewhere(self, response_id: str, session: str) -> Earlier | None:
        """Return the conversation that `note_elsewhere` noted, or None."""
        return self._elsewhere.get(session, {}).get(response_id)

    def drop(self, session: str) -> None:
        """Remove all responses of a session."""
        self._elsewhere.pop(session, None)
        for key in tuple(self._keys.get(session, ())):
            self.remove(key)

    def all(self) -> tuple[StoredResponse, ...]:
        """Return all responses, the oldest first."""
        return tuple(self._stored.values())

    def _forget_key(self, session: str, key: str) -> None:
        keys = self._keys[session]
        del keys[key]
        if not keys:
            del self._keys[session]
