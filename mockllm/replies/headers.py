"""Sets headers on replies, and joins those that are set in several places."""

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


def join_headers(*lists: Headers) -> Headers:
    """Return the headers of several lists, whose names are in lower case. Of those with the same
    name, the last counts, in the place of the first."""
    return tuple({name: value for headers in lists for name, value in headers}.items())
