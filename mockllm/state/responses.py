"""The responses that were given and may be asked for again, as little of each as will do.

Keeping one is an append: the request's body, the rule, the stamps of the delivery. The response
itself is made again when somebody asks for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from mockllm.matching.rule import Rule
from mockllm.wire.placeholders import FreshValues

MAX_RESPONSES = 1_000  # responses
MAX_BYTES = 16 * 1024 * 1024  # of requests; with agents' 100 kB, the last 160
PER_ENTRY = 512  # bytes; about what one costs beside its body


class StoredResponse(NamedTuple):
    """One answer: to which request, by which rule (None: the echo), with which stamps."""

    body: bytes
    rule: Rule | None
    fresh: FreshValues
    cancelled: bool = False


class StoredResponses:
    """Bounded by number and bytes; the oldest goes first."""

    def __init__(self) -> None:
        self._stored: deque[StoredResponse] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[StoredResponse]:
        """The newest first: where an id is configured, it means the last answer that bore it."""
        return reversed(self._stored)

    def append(self, stored: StoredResponse) -> None:
        """Keep one more."""
        self._stored.append(stored)
        self._size += PER_ENTRY + len(stored.body)
        while len(self._stored) > MAX_RESPONSES or self._size > MAX_BYTES:
            self._size -= PER_ENTRY + len(self._stored.popleft().body)

    def remove(self, stored: StoredResponse) -> None:
        """Forget one."""
        self._stored.remove(stored)
        self._size -= PER_ENTRY + len(stored.body)
