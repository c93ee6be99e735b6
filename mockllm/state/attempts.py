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

from collections import OrderedDict
from collections.abc import Collection
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

RETRY_COUNT = b"x-stainless-retry-count"

MAX_ATTEMPTS = 64  # of one request: clients that send the same at the same time
MAX_PER_SESSION = 4_096  # requests
MAX_KEPT = 16_384  # attempts of all sessions; about 6 MB
MAX_HASHED = 1024 * 1024  # bytes at each end of a large body that are hashed, which takes 1 ms
_STRIDE = 1024  # bytes, of which one is hashed between the ends
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

    Hashing takes 0.4 µs for a small body, 20 µs for one of 35 kB. All of 60 MB would take 34 ms, so
    large bodies of the same size are the same if their ends are, and samples between them.
    """
    hashed = _hash_of(path).copy()
    if len(body) <= 2 * MAX_HASHED:
        hashed.update(body)
    else:
        hashed.update(b"%d " % len(body))
        hashed.update(body[:MAX_HASHED])
        hashed.update(body[MAX_HASHED:-MAX_HASHED:_STRIDE])
        hashed.update(body[-MAX_HASHED:])
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


Trail = tuple[Any, ...]
"""The attempts at one request, in order: of each its retry count, its key and its number, one after
the other, so that there is one object for a request."""

_PARTS = 3  # of an attempt in a trail
_NO_TRAILS: OrderedDict[bytes, Trail] = OrderedDict()


class Attempts:
    """The latest attempts of all sessions."""

    def __init__(self) -> None:
        # by session and request, each moved to the end when it is used
        self._trails: OrderedDict[str, OrderedDict[bytes, Trail]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(
        self, session: str, attempt: tuple[bytes, int], key: str | None = None, number: int = 0
    ) -> None:
        """Remember what `attempt` took: the answer `number` of the mock with this `key`."""
        request, retry = attempt
        sessions = self._trails
        requests = sessions.get(session)
        if requests is None:
            requests = sessions[session] = OrderedDict()
        elif len(sessions) > 1:
            sessions.move_to_end(session)
        trail = requests.get(request)
        self._size += 1
        if trail is None:
            requests[request] = (retry, key, number)
            if len(requests) > MAX_PER_SESSION:
                self._drop_first(session)
        else:
            if len(trail) >= _PARTS * MAX_ATTEMPTS:
                trail = trail[_PARTS:]
                self._size -= 1
            requests[request] = (*trail, retry, key, number)
            requests.move_to_end(request)
        if self._size > MAX_KEPT:
            self._drop_first(next(iter(sessions)))

    def follow(self, session: str, attempt: tuple[bytes, int]) -> Taken | None:
        """Remove and return what was taken by the attempt that a marked retry follows; None if it
        is not known."""
        request, retry = attempt
        requests = self._trails.get(session)
        trail = None if requests is None else requests.get(request)
        if requests is None or not trail:
            return None
        places = range(len(trail) - _PARTS, -1, -_PARTS)
        found = next((at for at in places if trail[at] == retry - 1), places[0])
        requests[request] = trail[:found] + trail[found + _PARTS :]
        self._size -= 1
        return Taken(*trail[found : found + _PARTS])

    def forget(self, session: str, keys: Collection[str] | None = None) -> None:
        """Forget the attempts of `session`; with `keys`, what they took of these mocks."""
        if keys is None:
            dropped = self._trails.pop(session, _NO_TRAILS)
            self._size -= sum(map(len, dropped.values())) // _PARTS
            return
        requests, meant = self._trails.get(session, _NO_TRAILS), frozenset(keys)
        for request, trail in requests.items():
            if not meant.isdisjoint(trail[1::_PARTS]):
                requests[request] = _without(keys, trail)

    def put(self, session: str, request: bytes, trail: Trail) -> None:
        """Set the attempts at a request that is not known."""
        self._trails.setdefault(session, OrderedDict())[request] = trail
        self._size += len(trail) // _PARTS

    def clear(self) -> None:
        """Forget all attempts."""
        self._trails.clear()
        self._size = 0

    def trails(self) -> list[tuple[str, bytes, Trail]]:
        """Return the sessions in order, with the attempts at each of their requests."""
        return [
            (session, *trail)
            for session, requests in self._trails.items()
            for trail in requests.items()
        ]

    def _drop_first(self, session: str) -> None:
        requests = self._trails[session]
        _, trail = requests.popitem(last=False)
        self._size -= len(trail) // _PARTS
        if not requests:
            del self._trails[session]


def _without(keys: Collection[str], trail: Trail) -> Trail:
    """Return `trail` with attempts that took nothing in place of those that took of these mocks."""
    attempts = (trail[at : at + _PARTS] for at in range(0, len(trail), _PARTS))
    return tuple(
        part
        for retry, key, number in attempts
        for part in ((retry, None, 0) if key in keys else (retry, key, number))
    )
