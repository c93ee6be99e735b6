"""The responses that were given and may be asked for again, as little of each as will do.

Remembering one is an append: the request's body, what was answered, the values of its delivery. The
response itself is rendered again when somebody asks for it. It is found by its id: a generated one
contains the unique id of its delivery, which also names the worker process that gave it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mockllm.wire.chunking import Chunk
from mockllm.wire.placeholders import FreshValues, id_tail

MAX_RESPONSES = 1_000
MAX_BYTES = 16 * 1024 * 1024  # of requests; with agents' 100 kB, the last 160
PER_ENTRY = 512  # bytes; about what one costs beside its body

_SLOT_BITS = 12  # 4096 workers
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_NUMBER_BITS = 80 - _SLOT_BITS
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_GENERATED = re.compile(rf"resp_([0-9a-f]{{20}}){id_tail(48, 'response')}")
"""An id that this server has generated: the part behind the unique one tells it from a recorded id
of the real service."""


def make_unique_id(number: int, slot: int) -> bytes:
    """Twenty hexadecimal digits: the worker's `slot` and the lower 68 bits of `number`, by which it
    is disguised, so that all digits look random."""
    number &= _NUMBER_MASK
    return b"%020x" % ((slot ^ (number & _SLOT_MASK)) << _NUMBER_BITS | number)


def slot_of(response_id: str) -> int | None:
    """The slot of the worker that gave the response of this id; None for an id that is not
    generated."""
    found = _GENERATED.fullmatch(response_id)
    if found is None:
        return None
    number = int(found[1], 16)
    return (number >> _NUMBER_BITS) ^ (number & _SLOT_MASK)


class StoredResponse(NamedTuple):
    """One response that was given: the request's body, the response as configured or made and how
    it is streamed (`engine.decision.Answer`), and the fresh values of its delivery."""

    body: bytes
    response: dict[str, Any]
    chunk: Chunk
    events: Sequence[Any] | None
    fresh: FreshValues
    cancelled: bool = False

    @property
    def key(self) -> str:
        """The part of its id that tells it from others: the configured id, else the unique id."""
        configured = self.response.get("id")
        return configured if isinstance(configured, str) else self.fresh.unique_id.decode()


class StoredResponses:
    """Bounded by number and bytes; the oldest goes first. Of two with the same configured id the
    newer one is found."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredResponse] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._stored)

    def find(self, response_id: str) -> StoredResponse | None:
        """The response that may have this id; the caller renders it to be sure."""
        generated = _GENERATED.fullmatch(response_id)
        found = self._stored.get(generated[1]) if generated is not None else None
        return found or self._stored.get(response_id)

    def append(self, stored: StoredResponse) -> None:
        """Remember one more, or one anew."""
        self.remove(stored)
        self._stored[stored.key] = stored
        self._size += PER_ENTRY + len(stored.body)
        while len(self._stored) > MAX_RESPONSES or self._size > MAX_BYTES:
            self.remove(next(iter(self._stored.values())))

    def remove(self, stored: StoredResponse) -> None:
        """Forget one, if it is there."""
        removed = self._stored.pop(stored.key, None)
        if removed is not None:
            self._size -= PER_ENTRY + len(removed.body)

    def all(self) -> tuple[StoredResponse, ...]:
        """All of them, the oldest first."""
        return tuple(self._stored.values())
