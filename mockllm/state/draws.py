"""Keys by which the times of a delivery are drawn: the same in every run, whatever else arrives.

A key depends on the request, its mock and its session, and on how often this process has seen them
together. It does not depend on the order in which different requests arrive.
"""

from __future__ import annotations

from hashlib import blake2b

from mockllm.state.attempts import Attempt
from mockllm.state.maps import LocalMaps, Maps, OrderedMap

MAX_COUNTED = 65_536  # requests; about 8 MB

_KEY_BYTES = 8


class Draws:
    """The number of deliveries to each request. If there are too many, all are counted anew."""

    def __init__(self, maps: Maps | None = None) -> None:
        self._counts: OrderedMap[bytes, int] = (maps or LocalMaps()).ordered("draws")

    def next_key(self, seed: int, session: str, source: str, attempt: Attempt) -> int:
        """Return the key of the next delivery to `attempt` in a `session`, an integer of 64 bits.
        `source` names the mock that answers."""
        base = base_of(seed, session, source, attempt)
        key = base.to_bytes(_KEY_BYTES)
        count = self._counts.get(key) or 0
        if not count and len(self._counts) >= MAX_COUNTED:
            self._counts.clear()
        self._counts.put(key, count + 1)
        return key_of(base, count)


def base_of(seed: int, session: str, source: str, attempt: Attempt) -> int:
    """Return what tells deliveries to `attempt` from others, an integer of 64 bits."""
    return _hash(
        b"%d" % seed,
        session.encode(errors="surrogatepass"),
        source.encode(errors="surrogatepass"),
        attempt.request,
        b"%d" % attempt.retry,
    )


def key_of(base: int, count: int) -> int:
    """Return the key of the delivery that comes after `count` others with this `base`."""
    return _hash(base.to_bytes(_KEY_BYTES), b"%d" % count)


def _hash(*parts: bytes) -> int:
    hashed = blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        hashed.update(len(part).to_bytes(8))
        hashed.update(part)
    return int.from_bytes(hashed.digest())
