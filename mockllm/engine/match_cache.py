"""Caches matches: a request that equals an earlier one byte for byte is matched the same.

A look-up costs a hash of the body (a few µs at 35 kB), matching anew 15 µs and, on such a
conversation, 200 µs. What depends on state, time or chance must not be cached: a match holds none
of it, and what is drawn for a single request is drawn from the match each time.
"""

from __future__ import annotations

from mockllm.bounded_cache import BoundedCache
from mockllm.engine.decision import Match

Key = tuple[str | bytes | None, ...]
"""All that a match depends on: the path, the body, the values of headers that rules look at."""

MAX_BYTES = 32 * 1024 * 1024  # of all requests and replies
MAX_ENTRY = 1024 * 1024  # bytes of one request and its reply
PER_ENTRY = 2048  # bytes; about what a match costs beside them
PER_STEP = 200  # bytes that a step costs beside its own
COPIES = 3  # of a reply's bytes
TOO_LARGE = MAX_BYTES + 1
MAX_SEEN = 65_536  # requests that came once


class MatchCache:
    """The matches of requests that came at least twice; `hits` and `misses` count the look-ups."""

    def __init__(self) -> None:
        self._matches = BoundedCache[Key, Match](MAX_BYTES, max_seen=MAX_SEEN)
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._matches)

    def get(self, key: Key) -> Match | None:
        """The match of `key`, if it is cached."""
        match = self._matches.get(key)
        if match is None:
            self.misses += 1
        else:
            self.hits += 1
        return match

    def offer(self, key: Key, match: Match) -> None:
        """Cache a match if its `key` came before and it is not too large."""
        self._matches.offer(key, match, lambda: _size(key, match))


def _size(key: Key, match: Match) -> int:
    """The bytes that an entry takes: the request, and its reply as if nothing were shared: its
    steps, how they go over the wire, and that once more in pieces."""
    steps = tuple(match.reply.steps)
    reply = COPIES * sum(step.size for step in steps) + PER_STEP * len(steps)
    size = PER_ENTRY + reply + sum(len(part) for part in key if part is not None)
    return size if size <= MAX_ENTRY else TOO_LARGE
