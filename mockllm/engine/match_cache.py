"""Decisions made before: a request that is the same byte for byte is decided the same.

Looking one up costs a hash of the body (a few µs at 35 kB) where deciding costs 15 µs and, on such
a conversation, 200 µs. Nothing that depends on state, time or chance may be kept here.
"""

from __future__ import annotations

from mockllm.engine.decision import Match

Key = tuple[str | bytes | None, ...]
"""All that a match depends on: the path, the body, the values of headers that rules look at."""

MAX_BYTES = 32 * 1024 * 1024  # of requests and replies kept
MAX_ENTRY = 1024 * 1024  # bytes of a request and its reply that are kept
PER_ENTRY = 2048  # bytes; about what a match costs beside them
PER_STEP = 200  # bytes that a step costs beside its own
COPIES = 3  # of a reply's bytes
MAX_SEEN = 65_536  # requests that came once


class MatchCache:
    """Bounded by bytes; the oldest goes first. A match is kept when its request comes for the
    second time: a load whose bodies all differ costs no memory. `hits` and `misses` count the
    look-ups."""

    def __init__(self) -> None:
        self._known: dict[Key, Match] = {}
        self._size = 0
        self._seen: set[int] = set()  # hashes of keys that came once
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key) -> Match | None:
        """The match made of `key`, if it is still known."""
        match = self._known.get(key)
        if match is None:
            self.misses += 1
        else:
            self.hits += 1
        return match

    def keep(self, key: Key, match: Match) -> None:
        """Keep a match whose `key` is not known, if it came before."""
        mark = hash(key)
        if mark not in self._seen:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen.add(mark)
            return
        size = _size(key, match)
        if size > MAX_ENTRY:
            return
        self._known[key] = match
        self._size += size
        while self._size > MAX_BYTES:
            oldest = next(iter(self._known))
            self._size -= _size(oldest, self._known.pop(oldest))


def _size(key: Key, match: Match) -> int:
    """What is kept: the request, and its reply as if it were made for it alone: its steps, how they
    go over the wire, and that once more in pieces."""
    steps = tuple(match.reply.steps)
    reply = COPIES * sum(step.size for step in steps) + PER_STEP * len(steps)
    return PER_ENTRY + reply + sum(len(part) for part in key if part is not None)
