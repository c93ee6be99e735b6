"""Sets headers on replies."""

from __future__ import annotations

from dataclasses import replace

from mockllm.exchange import Headers, Reply


def set_headers(reply: Reply, headers: Headers) -> Reply:
    """Return `reply` with these headers, whose names are in lower case and differ. One that the
    reply has already is replaced in its place; the others are added at the end."""
    if not headers:
        return reply
    names = {name for name, _ in headers}
    left = dict(headers)
    written: list[tuple[bytes, bytes]] = []
    for name, value in reply.headers:
        if name not in names:
            written.append((name, value))
        elif name in left:  # a header that occurs several times is replaced once
            written.append((name, left.pop(name)))
    return replace(reply, headers=(*written, *left.items()))
