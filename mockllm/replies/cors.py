"""Cross-origin resource sharing (Fetch, section 3.2): lets web pages of other origins read replies.

All CORS headers are here. They are allowed or not for a whole configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from mockllm.exchange import Headers, Reply

PREFLIGHT_MAX_AGE = b"86400"  # seconds; browsers take less

_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_SHARED: Headers = (
    _ANY_ORIGIN,
    (b"access-control-expose-headers", b"*"),  # or a page could not read the request's id
)
_HEADER_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]+")  # separated by commas


@dataclass(frozen=True, slots=True)
class CORS:
    """Adds the headers that let pages of any origin read a reply; none unless `allowed`."""

    allowed: bool

    def share(self, reply: Reply) -> Reply:
        """Return `reply` with the CORS headers after its date; as it is if it has its own.
        Idempotent."""
        headers = reply.headers
        if not self.allowed or _ANY_ORIGIN in headers:
            return reply
        return replace(reply, headers=_with_shared(headers))

    def preflight_headers(self, methods: bytes, requested: bytes) -> Headers:
        """Return the headers that answer a preflight (Fetch, section 3.2.2). `methods` are those
        that pages may use and `requested` the headers that they may send, each separated by
        commas; `requested` is replaced if it is malformed."""
        if not self.allowed:
            return ()
        if not _HEADER_NAMES.fullmatch(requested):
            requested = b"authorization, *"
        return (
            _ANY_ORIGIN,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", requested),
            (b"access-control-max-age", PREFLIGHT_MAX_AGE),
        )


@lru_cache(maxsize=256)  # a server has few different heads
def _with_shared(headers: Headers) -> Headers:
    names = [name for name, _ in headers]
    if _ANY_ORIGIN[0] in names:
        return headers
    at = names.index(b"date") + 1 if b"date" in names else len(names)
    return headers[:at] + _SHARED + headers[at:]
