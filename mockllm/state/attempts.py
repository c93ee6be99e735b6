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
from hashlib import sha256
from typing import NamedTuple

RETRY_COUNT = b"x-stainless-retry-count"

MAX_ATTEMPTS = 64  # of one request: clients that send the same at the same time
MAX_PER_SESSION = 4_096  # requests
MAX_KEPT = 16_384  # attempts of all sessions; about 6 MB
_HASH = 16  # bytes; 2**64 requests until two of them are likely to be taken for one
_MAX_DIGITS = 6  # of a retry count; longer ones were not written by an SDK


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

    Hashing takes 0.6 µs for a small body, 20 µs for one of 35 kB.
    """
    hashed = sha256(path.encode(errors="surrogatepass"))
    hashed.update(b"\0")
    hashed.update(body)
    return Attempt(hashed.digest()[:_HASH], parse_retry_count(retry_count))


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


class Attempts:
    """The latest attempts of all sessions."""

    def __init__(self) -> None:
        # a session and, in it, a request are moved to the end when they are used
        self._sessions: OrderedDict[str, OrderedDict[bytes, list[Taken]]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def follow(self, session: str, attempt: Attempt) -> Taken | None:
        """Remove and return what was taken by the attempt that a marked retry follows; None if it
        is not known."""
        requests = self._sessions.get(session)
        taken = requests.get(attempt.request) if requests is not None else None
        if not taken:
            return None
        self._size -= 1
        for place in range(len(taken) - 1, -1, -1):
            if taken[place].retry == attempt.retry - 1:
                return taken.pop(place)
        return taken.pop()

    def add(self, session: str, attempt: Attempt, key: str | None = None, number: int = 0) -> None:
        """Remember what `attempt` took: the answer `number` of the mock with this `key`."""
        requests = self._sessions.get(session)
        if requests is None:
            requests = self._sessions[session] = OrderedDict()
        else:
            self._sessions.move_to_end(session)
        taken = requests.get(attempt.request)
        if taken is None:
            taken = requests[attempt.request] = []
        else:
            requests.move_to_end(attempt.request)
        taken.append(Taken(attempt.retry, key, number))
        self._size += 1
        if len(taken) > MAX_ATTEMPTS:
            del taken[0]
            self._size -= 1
        if len(requests) > MAX_PER_SESSION:
            self._remove_oldest(requests)
        if self._size > MAX_KEPT:
            self._remove_oldest(next(iter(self._sessions.values())))

    def forget(self, session: str, keys: frozenset[str] | None = None) -> None:
        """Forget the attempts of `session`; with `keys`, what they took of these mocks."""
        requests = self._sessions.get(session)
        if requests is None:
            return
        if keys is None:
            del self._sessions[session]
            self._size -= sum(map(len, requests.values()))
            return
        for taken in requests.values():
            taken[:] = [Taken(each.retry) if each.key in keys else each for each in taken]

    def _remove_oldest(self, requests: OrderedDict[bytes, list[Taken]]) -> None:
        _, taken = requests.popitem(last=False)
        self._size -= len(taken)
        if not requests:
            self._sessions.popitem(last=False)  # only the session longest unused can be emptied
