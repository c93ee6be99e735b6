"""Attempts that a marked retry may repeat.

The official SDKs mark their retries: ``x-stainless-retry-count`` is 0 on the first attempt, 1 on
the first retry (openai 3.54.0 and anthropic 2.12.0, ``_base_client``). A marked retry follows the
attempt before it, which is the latest attempt

1. of the same session, path and body, that no other retry has followed, and
2. whose own count is one less; if there is none, one of any count.

So clients that send the same request at the same time and then all retry get each place once more,
although not necessarily the place that each of them had. If only one of them retries, it gets the
latest place: equal requests cannot be told apart. Whether an attempt was delivered is not asked; of
one that never arrived nothing is known, and its retry repeats the latest equal request.

Paths and bodies are kept as a hash, and what is kept is bounded three times: the attempts of one
request, the requests of one session, and those of all. What is longest unused goes first; the retry
of an attempt that is no longer known takes the next place, as a new request does.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from mockllm.state.maps import GroupedMap, LocalMaps, Maps

RETRY_COUNT = b"x-stainless-retry-count"

MAX_ATTEMPTS = 64  # of one request: clients that send the same at the same time
MAX_PER_SESSION = 4_096  # requests
MAX_KEPT = 16_384  # attempts of all sessions; about 6 MB
_HASH = 16  # bytes; 2**64 requests until two of them are likely to be taken for one
_MAX_DIGITS = 6  # of a retry count; longer ones were not written by an SDK
_MAX_PATHS = 64  # whose hashes are kept

_new = tuple.__new__  # half the time of the class's own constructor


class Attempt(NamedTuple):
    """One attempt at a request: the hash of its path and body, and its retry count. It is a marked
    retry if that is at least 1."""

    request: bytes
    retry: int = 0

    def at_part(self, name: str) -> Attempt:
        """Return the attempt at the part of the request that is called `name`, which takes
        something of its own."""
        hashed = sha256(self.request + name.encode(errors="surrogatepass"))
        return Attempt(hashed.digest()[:_HASH], self.retry)


def attempt_at(path: str, body: bytes, retry_count: bytes | None) -> Attempt:
    """Return the attempt at a request to `path`, without the session's prefix. `retry_count` is the
    value of the header `RETRY_COUNT`; an absent one, and one that is not a number, is 0.

    Hashing takes 0.4 µs for a small body, 20 µs for one of 35 kB.
    """
    hashed = _hash_of(path).copy()
    hashed.update(body)
    retry = 0 if retry_count is None else parse_retry_count(retry_count)
    return _new(Attempt, (hashed.digest()[:_HASH], retry))


@lru_cache(maxsize=_MAX_PATHS)
def _hash_of(path: str) -> Any:
    """Return the hash of a path, which is to be copied."""
    return sha256(path.encode(errors="surrogatepass") + b"\0")


def parse_retry_count(value: bytes | None) -> int:
    """Return the number in a header `RETRY_COUNT`; 0 if there is none."""
    if value is None or not value.isdigit() or len(value) > _MAX_DIGITS:
        return 0
    return int(value)


class Taken(NamedTuple):
    """What an attempt with retry count `retry` took: the answer `number` of the mock with this
    `key`; nothing if that is None."""

    retry: int
    key: str | None = None
    number: int = 0


_SIZE = "attempts"


class Attempts:
    """The latest attempts of all sessions."""

    def __init__(self, maps: Maps | None = None) -> None:
        maps = maps or LocalMaps()
        # by session and request, each moved to the end when it is used; only bare tuples are in it
        self._taken: GroupedMap[str, bytes, tuple[tuple[int, str | None, int], ...]]
        self._taken = maps.grouped("attempts")
        self._facts = maps.facts

    def __len__(self) -> int:
        size: int = self._facts.get(_SIZE, 0)
        return size

    def follow(self, session: str, attempt: Attempt) -> Taken | None:
        """Remove and return what was taken by the attempt that a marked retry follows; None if it
        is not known."""
        taken = self._taken.get(session, attempt.request)
        if not taken:
            return None
        before = attempt.retry - 1
        found = next((at for at in range(len(taken) - 1, -1, -1) if taken[at][0] == before), -1)
        left = taken[:found] + taken[found + 1 :] if found >= 0 else taken[:-1]
        self._taken.put(session, attempt.request, left)
        self._grow(-1)
        return Taken(*taken[found])

    def add(self, session: str, attempt: Attempt, key: str | None = None, number: int = 0) -> None:
        """Remember what `attempt` took: the answer `number` of the mock with this `key`."""
        request, retry = attempt
        before = self._taken.append(session, request, (retry, key, number), MAX_ATTEMPTS)
        size = self._facts.get(_SIZE, 0) + (before < MAX_ATTEMPTS)
        if not before and self._taken.size(session) > MAX_PER_SESSION:
            size -= len(self._taken.drop_first(session))
        if size > MAX_KEPT:
            size -= len(self._taken.drop_first())
        self._facts[_SIZE] = size

    def forget(self, session: str, keys: frozenset[str] | None = None) -> None:
        """Forget the attempts of `session`; with `keys`, what they took of these mocks."""
        if keys is None:
            self._grow(-sum(map(len, self._taken.drop_group(session))))
            return
        for request, taken in self._taken.items(session):
            if not keys.isdisjoint(key for _, key, _ in taken if key is not None):
                left = tuple((each[0], None, 0) if each[1] in keys else each for each in taken)
                self._taken.put(session, request, left)

    def _grow(self, by: int) -> None:
        if by:
            self._facts[_SIZE] = len(self) + by
