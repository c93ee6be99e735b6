"""Sets headers on replies, and joins those that are set in several places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mockllm.exchange import Headers, Reply

MAX_LISTS = 1_000  # lists of headers in which the places of lines are kept


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


class HeaderLines:
    """Header lines, ``(name, value)``, that are replaced in one reply after the other, each by one
    with the same name and a value that differs from request to request."""

    __slots__ = ("_places", "lines")

    def __init__(self, lines: Headers) -> None:
        self.lines = lines
        # of lists of headers that many replies have, by their ids: 2 µs less than to search them
        self._places: dict[int, tuple[Headers, Sequence[tuple[int, int]]]] = {}

    def replace(self, reply: Reply, values: Sequence[bytes]) -> Reply:
        """Return `reply` with the values in place of those of the lines, in the same order; itself
        if it has none of them. A header with another value is another line, and stays."""
        headers = reply.headers
        kept, places = self._places.get(id(headers)) or ((), ())
        if kept is not headers:
            places = self._find(headers)
        if not places:
            return reply
        written = [*headers]
        for place, number in places:
            written[place] = (self.lines[number][0], values[number])
        return Reply(
            reply.status,
            tuple(written),
            reply.steps,
            reply.ending,
            reply.streamed,
            reply.before_head,
            reply.preface,
            reply.pacing,
            reply.opening,
            reply.interruptions,
        )

    def replaced_by(
        self, values: Sequence[bytes]
    ) -> Mapping[tuple[bytes, bytes], tuple[bytes, bytes]]:
        """Return the lines that come in place of others, as `replace_lines` expects them."""
        return {line: (line[0], value) for line, value in zip(self.lines, values, strict=True)}

    def _find(self, headers: Headers) -> Sequence[tuple[int, int]]:
        """Return the places of the lines in `headers`, each with the number of its line."""
        numbers = {line: number for number, line in enumerate(self.lines)}
        places = [(at, numbers[line]) for at, line in enumerate(headers) if line in numbers]
        if len(self._places) >= MAX_LISTS:
            self._places.clear()
        self._places[id(headers)] = headers, places
        return places


def join_headers(*lists: Headers) -> Headers:
    """Return the headers of several lists, whose names are in lower case. Of those with the same
    name, the last counts, in the place of the first."""
    return tuple({name: value for headers in lists for name, value in headers}.items())
