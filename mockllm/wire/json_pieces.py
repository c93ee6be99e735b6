"""Decodes a large JSON text in pieces, so that others need not wait until all of it is decoded.

`jsontext.loads` is the specification: `loads_in_pieces` returns the same value, or raises the same
error, of any text that has no name, number or object beyond the bounds.

Theory of operation
===================

orjson decodes whole texts only, 10 MB of small objects in 60 ms. Here the text is cut at commas
outside of strings, about one in `json_windows.SLICE` bytes, and what is between two cuts is decoded
alone, in brackets of its own, in twice the time. Where there is no comma, it is cut at a bracket,
and much white space is passed over. These messages are cut at the second comma, behind
which two containers are open, the object and the list::

    {"model": "m", "messages": [{"role": "user"}, {"role": "user"}]}

The first piece opens these two. Its segments, between the brackets that it leaves open, are
completed with an empty text where a container begins or has ended, and decoded::

    {"model": "m", "messages": ""}
    [{"role": "user"}]

The second piece closes both: ``[{"role": "user"}]``, then ``[""]`` and ``""``, from which the empty
text is removed. Brackets that are closed in their piece are orjson's business. The text of a string
that is longer than a slice is cut between two characters, and the pieces are joined.

What has to be decoded or freed at once is bounded: names, numbers, and the members of an object.

Where a piece is not JSON, the error is that of a text which begins with the piece, behind the
brackets that are open there, with the position moved.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import orjson

from mockllm.pieces import Pieces
from mockllm.wire import json_windows, jsontext
from mockllm.wire.json_errors import Errors
from mockllm.wire.json_windows import SPACE, Cut, Window

_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_MIN_ROUNDS = 16  # in which pairs of brackets are removed at once
_MIN_REMOVED = 128  # further rounds have to remove one in so many; otherwise brackets are walked
MAX_MEMBERS = 150_000
"""Maximum number of members of an object in a large text. To add one, or free all, takes 5 ms."""
MAX_FAST_GROWTH = 50_000  # members of an object; a larger one takes 4 ms to get more room
MIN_LEFT = 1_000_000  # bytes of a text that is let go of on its own; to free 60 MB takes 4.4 ms
_TOO_LONG = f"a number or the name of a member has more than {json_windows.MAX_UNDIVIDED:,} bytes"


class _Edge(Enum):
    """What is before or behind a segment."""

    TEXT = "the beginning or the end of the text"
    COMMA = "a comma"
    OPENED = "a bracket that is closed in another piece, or a long string"
    CLOSED = "the end of such a value"


class _InvalidError(Exception):
    """A piece is not JSON."""


def loads_in_pieces(text: bytes, leftovers: list[Any] | None = None) -> Pieces[Any]:
    """Return what `jsontext.loads` does, with pauses.

    To free a large value takes as long as to decode it. So the members of lists and objects are
    also added to `leftovers`, in small containers, and so are long texts, and `text` itself if it
    is long: whoever has let go of the value removes these one by one.

    Raises:
        ValueError: as `jsontext.loads` does, and for an object of more than `MAX_MEMBERS` members,
            and a name or a number of more than `json_windows.MAX_UNDIVIDED` bytes.
    """
    whole = text
    text = text.removeprefix(jsontext.BYTE_ORDER_MARK)
    yield from jsontext.check_values(text, jsontext.MAX_VALUES)
    if len(text) <= json_windows.SLICE:
        return jsontext.loads(whole, max_values=None)
    if leftovers is not None and len(whole) > MIN_LEFT:
        leftovers.append(whole)
    return (yield from _Decoder(text, leftovers).decode())


class _Decoder:
    """The state of decoding `text` between two pieces."""

    def __init__(self, text: bytes, leftovers: list[Any] | None) -> None:
        self._text = text
        self._leftovers = leftovers
        self._open: list[list[Any] | dict[str, Any]] = []
        """The containers that are open, the outermost first."""
        self._key = ""
        """The name of the member whose value begins, in an object."""
        self._were_lists: list[bool] = []
        """Which of the containers that were open before the next piece are lists."""
        self._start = 0
        """The offset of the next piece."""
        self._edge = _Edge.TEXT
        """What is before the next piece."""
        self._string_from: int | None = None
        """The offset of the piece of a long string that is being decoded."""
        self._cut = 0
        """The offset behind the last cut: that of the next piece, or of what is held."""
        self._held = b""
        """What is behind the last cut, if much white space follows it, which is before the next
        piece."""
        self._has_ended = False
        self._value: Any = None
        self._errors = Errors(text)

    def decode(self) -> Pieces[Any]:
        """Return the value of the text, in pieces."""
        size = json_windows.SLICE
        try:
            while not self._has_ended:
                self._were_lists = [isinstance(each, list) for each in self._open]
                window = json_windows.open_window(self._text, self._start, size, self._held)
                yield from self._refuse_long(window)
                if self._take_window(window):
                    pass
                elif window.ends_in_string and self._is_before_value(window):
                    yield from self._take_string(window)
                elif not self._take_to_bracket(window):
                    yield from self._check_beginning(size)
                    if window.ends_in_space:
                        yield from self._pass_space(window)
                        size = json_windows.SLICE
                    else:
                        size *= 2
                    continue
                size = json_windows.SLICE
                yield bool(self._open) and self._grows_slowly(self._open[-1])
        except (_InvalidError, orjson.JSONDecodeError):
            return (yield from self._fail())
        return self._value

    def _take_window(self, window: Window) -> bool:
        """Take the text of a window up to a comma, or all if it is the last. Returns False if there
        is no comma in it."""
        if self._offset(window.size) >= len(self._text) and not window.ends_in_string:
            number = len(window.parts) - 1
            cut = Cut(len(window.neutral), number, len(window.parts[number]))
            self._take(window, cut, _Edge.TEXT)
            if self._open:
                raise _InvalidError
            self._has_ended = True
            return True
        found = json_windows.find_cut(window)
        if found is None:
            return False
        self._take(window, found, _Edge.COMMA)
        if not self._open:
            raise _InvalidError
        self._go_on(self._offset(found.offset) + 1, _Edge.COMMA)
        return True

    def _take_to_bracket(self, window: Window) -> bool:
        """Take the text of a window without a comma up to its last bracket, and that. Returns False
        if there is none."""
        found = json_windows.find_bracket(window)
        if found is None:
            return False
        bracket = window.neutral[found.offset]
        container = _CONTAINERS[bracket]
        if bracket in json_windows.OPENING:
            self._take(window, found, _Edge.OPENED)
            self._begin(container())
            self._go_on(self._offset(found.offset) + 1, _Edge.OPENED)
            return True
        self._take(window, found, _Edge.CLOSED)
        if not self._open or self._open.pop().__class__ is not container:
            raise _InvalidError
        self._go_on(self._offset(found.offset) + 1, _Edge.CLOSED)
        return True

    @staticmethod
    def _grows_slowly(value: list[Any] | dict[str, Any]) -> bool:
        """Return True if it may take long to add members to the innermost open container."""
        return isinstance(value, dict) and len(value) > MAX_FAST_GROWTH

    def _offset(self, offset: int) -> int:
        """Return the offset in the text of what is at `offset` of a window, behind what is held."""
        return self._start - len(self._held) + offset

    def _go_on(self, start: int, edge: _Edge) -> None:
        """Let the next piece begin at `start`, behind `edge`."""
        self._start, self._edge, self._cut, self._held = start, edge, start, b""

    def _take(self, window: Window, cut: Cut, end: _Edge) -> None:
        """Decode the text up to `cut`, with `end` behind it."""
        last = window.parts[cut.number][: cut.at]
        brackets = b"".join((*window.parts[: cut.number : 2], last)).translate(None, _OTHERS)
        rounds = 0
        removed = len(brackets)
        while brackets and (rounds < _MIN_ROUNDS or removed * _MIN_REMOVED > len(brackets)):
            shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
            removed = len(brackets) - len(shorter)
            if not removed:
                break
            brackets, rounds = shorter, rounds + 1
        levels = len(self._open) + 2 * rounds  # a round removes two of them at most
        if not brackets and levels < jsontext.MAX_LEVELS:
            self._take_segment(window, 0, cut.offset, self._edge, end)
            return
        self._take_segments(window, cut, end)

    def _take_segments(self, window: Window, cut: Cut, end: _Edge) -> None:
        """Decode the text up to `cut`, in which containers begin or end that others close."""
        unmatched = json_windows.unmatched_brackets(window, cut)
        if unmatched is None:
            raise _InvalidError
        closing, opening, deepest = unmatched
        if len(closing) > len(self._open) or len(self._open) + deepest > jsontext.MAX_LEVELS:
            raise _InvalidError
        start, edge = 0, self._edge
        for offset in closing:
            self._take_segment(window, start, offset, edge, _Edge.CLOSED)
            if self._open.pop().__class__ is not _CONTAINERS[window.neutral[offset]]:
                raise _InvalidError
            start, edge = offset + 1, _Edge.CLOSED
        for offset in opening:
            self._take_segment(window, start, offset, edge, _Edge.OPENED)
            self._begin(_CONTAINERS[window.neutral[offset]]())
            start, edge = offset + 1, _Edge.OPENED
        self._take_segment(window, start, cut.offset, edge, end)

    def _take_segment(
        self, window: Window, start: int, end: int, before: _Edge, behind: _Edge
    ) -> None:
        """Decode what is between two offsets of a window, in the innermost open container."""
        segment = window.text[start:end]
        if not self._open:
            self._take_outside(segment, before, behind)
        elif isinstance(self._open[-1], list):
            self._take_entries(self._open[-1], segment, before, behind)
        else:
            self._take_members(self._open[-1], segment, before, behind)
            if behind is _Edge.OPENED:
                last = window.neutral.rfind(b'"', start, end)
                first = window.neutral.rfind(b'"', start, last)
                self._key = self._loads(segment[first - start : last + 1 - start])

    def _take_outside(self, segment: bytes, before: _Edge, behind: _Edge) -> None:
        """Take what is before or behind the value: nothing, unless it is the value itself."""
        if before is _Edge.TEXT and behind is _Edge.TEXT:
            self._value = self._loads(segment)
        elif segment.strip(SPACE) or behind is _Edge.COMMA:
            raise _InvalidError
        elif behind is _Edge.OPENED and before is not _Edge.TEXT:
            raise _InvalidError  # a second value

    def _take_entries(
        self, entries: list[Any], segment: bytes, before: _Edge, behind: _Edge
    ) -> None:
        has_ended, begins = before is _Edge.CLOSED, behind is _Edge.OPENED
        found = self._loads(
            b"[%b%b%b]" % (b'""' if has_ended else b"", segment, b'""' if begins else b"")
        )
        if not found and not _is_empty(before, behind):
            raise _InvalidError  # two commas, or one before or behind a bracket
        added = found[has_ended : len(found) - begins]
        entries.extend(added)
        self._keep(added)

    def _take_members(
        self, members: dict[str, Any], segment: bytes, before: _Edge, behind: _Edge
    ) -> None:
        if before is _Edge.CLOSED:
            segment = segment.lstrip(SPACE)
            if not segment and behind is not _Edge.OPENED:
                return
            if not segment.startswith(b","):
                raise _InvalidError
            segment = segment[1:]
        found = self._loads(b"{%b%b}" % (segment, b'""' if behind is _Edge.OPENED else b""))
        if not found and not _is_empty(before, behind):
            raise _InvalidError
        members.update(found)
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"an object has more than {MAX_MEMBERS:,} members")
        self._keep(found)

    def _keep(self, found: list[Any] | dict[str, Any]) -> None:
        if self._leftovers is not None and found:
            self._leftovers.append(found)

    def _begin(self, value: Any) -> None:
        """Add the value that begins to the innermost container, and open it."""
        self._add(value)
        self._open.append(value)

    def _add(self, value: Any) -> None:
        if not self._open:
            self._value = value
        elif isinstance(self._open[-1], list):
            self._open[-1].append(value)
        else:
            self._open[-1][self._key] = value

    # -- Long strings ------------------------------------------------------------------------------

    def _is_before_value(self, window: Window) -> bool:
        """Return True if the string at the end of a window is a value. A key is decoded whole."""
        before = window.text[: window.string_offset].rstrip(SPACE)
        if before:
            return before[-1:] in (b"[", b":")
        if self._edge in (_Edge.COMMA, _Edge.OPENED):
            return isinstance(self._open[-1], list)
        return self._edge is _Edge.TEXT

    def _take_string(self, window: Window) -> Pieces[None]:
        """Decode the string that begins in a window and does not end in it, in pieces."""
        offset = window.string_offset
        number = len(window.parts) - 2
        self._take(window, Cut(offset, number, len(window.parts[number])), _Edge.OPENED)
        self._string_from = self._offset(offset) + 1
        value = ""  # grows in place; to join 10 MB with emojis at the end would take 20 ms
        while True:
            text, has_ended = json_windows.string_piece(self._text, self._string_from)
            if not text and not has_ended:
                raise _InvalidError
            value += self._loads(b'"%b"' % text)
            self._string_from += len(text)
            if has_ended:
                break
            yield False
        if self._leftovers is not None and len(value) > MIN_LEFT:
            self._leftovers.append(value)
        self._add(value)
        self._go_on(self._string_from + 1, _Edge.CLOSED)
        self._string_from = None

    # -- What is long ------------------------------------------------------------------------------

    def _refuse_long(self, window: Window) -> Pieces[None]:
        """Refuse a name of a member, or a number, that is too long to be decoded at once."""
        if window.size <= json_windows.MAX_UNDIVIDED:
            return
        is_value = window.ends_in_string and self._is_before_value(window)
        at = json_windows.long_name_or_number(window, is_value=is_value)
        if at is not None:
            yield from self._errors.refuse(self._offset(at), _TOO_LONG)

    def _check_beginning(self, size: int) -> Pieces[None]:
        """Check that the text up to `size` bytes behind the last cut can be the beginning of JSON,
        before more of it is decoded at once."""
        if self._errors.find(self._start, self._open_text() + self._held, size) is not None:
            raise _InvalidError
        yield False

    def _pass_space(self, window: Window) -> Pieces[None]:
        """Pass over the white space with which a window ends. What is before it is held, and one
        space instead."""
        self._start += window.size - len(self._held)
        self._held = window.text.rstrip(SPACE) + b" "
        while (end := json_windows.end_of_space(self._text, self._start)) > self._start:
            self._start = end
            yield False

    # -- Errors ------------------------------------------------------------------------------------

    def _loads(self, text: bytes) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            if not self._errors.has_surrogates(text):
                raise
            return orjson.loads(jsontext.replace_lone_surrogates(text))

    def _fail(self) -> Pieces[Any]:
        """Raise the error of the text behind the last cut."""
        if self._string_from is not None:
            return (yield from self._errors.fail(self._string_from, b'"'))
        before = self._open_text()
        return (yield from self._errors.fail(self._start, before, self._held, self._cut))

    def _open_text(self) -> bytes:
        """Return a text that leaves the same containers open, as far as an error shows it."""
        kinds = self._were_lists
        if not kinds:
            return b'""' if self._edge is _Edge.CLOSED else b""
        outer = b"".join(b"[" if is_list else b'{"":' for is_list in kinds[:-1])
        return outer + _BEGINNINGS[self._edge, kinds[-1]]


def _is_empty(before: _Edge, behind: _Edge) -> bool:
    """Return True if there may be nothing between these edges: in an empty container."""
    return before is _Edge.OPENED and behind is _Edge.CLOSED


_BEGINNINGS = {
    (_Edge.COMMA, True): b'["",',
    (_Edge.COMMA, False): b'{"":"",',
    (_Edge.OPENED, True): b"[",
    (_Edge.OPENED, False): b"{",
    (_Edge.CLOSED, True): b'[""',
    (_Edge.CLOSED, False): b'{"":""',
}
"""What leaves a list, or an object, open at an edge."""
_CONTAINERS: dict[int, type[list[Any]] | type[dict[str, Any]]] = {
    ord("["): list,
    ord("]"): list,
    ord("{"): dict,
    ord("}"): dict,
}
