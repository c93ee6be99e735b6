"""Cross-origin resource sharing (Fetch, section 3.2): which web pages may read an answer.

Knows every header of it, and refuses to know why a reply was chosen. Whether pages of other origins
may read the answers is decided once, when a configuration is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mockllm.exchange import Headers, Reply

PREFLIGHT_MAX_AGE = b"86400"  # seconds; browsers take less

_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_SHARED: Headers = (
    _ANY_ORIGIN,
    (b"access-control-expose-headers", b"*"),  # or a page could not read the request's id
)
_HEADER_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]+")  # a list of them


@dataclass(frozen=True, slots=True)
class CORS:
    """Adds the headers that let pages of any origin read the answers; none unless `allowed`."""

    allowed: bool

    def share(self, reply: Reply) -> Reply:
        """`reply` with its headers, behind its date. Sharing a shared reply changes nothing."""
        headers = reply.headers
        if not self.allowed or _ANY_ORIGIN in headers:
            return reply
        names = [name for name, _ in headers]
        at = names.index(b"date") + 1 if b"date" in names else len(names)
        return replace(reply, headers=headers[:at] + _SHARED + headers[at:])

    def preflight_headers(self, methods: bytes, wanted: bytes) -> Headers:
        """The headers that answer a preflight (Fetch, section 3.2.2): pages may use these `methods`
        and send the `wanted` headers."""
        if not self.allowed:
            return ()
        if not _HEADER_NAMES.fullmatch(wanted):
            wanted = b"authorization, *"
        return (
            _ANY_ORIGIN,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", PREFLIGHT_MAX_AGE),
        )
