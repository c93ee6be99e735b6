"""The responses that were given and may be asked for again, as little of each as will do.

Keeping one is an append: the request's body, the rule, the stamps of the delivery. The response
itself is made again when somebody asks for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from mockllm.matching.rule import Rule
from mockllm.wire.placeholders import Stamps

MAX_RESPONSES = 1_000  # responses
MAX_BYTES = 16 * 1024 * 1024  # of requests; with agents' 100 kB, the last 160
PER_ENTRY = 512  # bytes; about what one costs beside its body


class Kept(NamedTuple):
    """One answer: to which request, by which rule (None: the echo), with which stamps."""

    body: bytes
    rule: Rule | None
    stamps: Stamps
    cancelled: bool = False


class KeptResponses:
    """Bounded by number and bytes; the oldest goes first."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        """The newest first: where an id is configured, it means the last answer that bore it."""
        return reversed(self._kept)

    def append(self, kept: Kept) -> None:
        """Keep one more."""
        self._kept.append(kept)
        self._size += PER_ENTRY + len(kept.body)
        while len(self._kept) > MAX_RESPONSES or self._size > MAX_BYTES:
            self._size -= PER_ENTRY + len(self._kept.popleft().body)

    def remove(self, kept: Kept) -> None:
        """Forget one."""
        self._kept.remove(kept)
        self._size -= PER_ENTRY + len(kept.body)
