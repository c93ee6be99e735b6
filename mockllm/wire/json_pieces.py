"""Decodes a large JSON text in pieces, so that others need not wait until all of it is decoded.

`jsontext.loads` is the specification: `loads_in_pieces` returns the same value, or raises the same
error, of any text.

Theory of operation
===================

orjson decodes whole texts only, 10 MB of small objects in 60 ms. Here the text is cut at commas
outside of strings, about one in `json_windows.SLICE` bytes, and what is between two cuts is decoded
alone, in brackets of its own, in twice the time. These messages are cut at the second comma, behind
which two containers are open, the object and the list::

    {"model": "m", "messages": [{"role": "user"}, {"role": "user"}]}

The first piece opens these two. Its segments, between the brackets that it leaves open, are
completed with an empty text where a container begins or has ended, and decoded::

    {"model": "m", "messages": ""}
    [{"role": "user"}]

The second piece closes both: ``[{"role": "user"}]``, then ``[""]`` and ``""``, from which the empty
text is removed. Brackets that are closed in their piece are orjson's business. The text of a string
that is longer than a slice is cut between two characters, and the pieces are joined.

Where a piece is not JSON, the error is that of a text which begins with the piece, behind the
brackets that are open there, with the position moved.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from enum import Enum
from typing import Any

import orjson

from mockllm.wire import json_windows, jsontext
from mockllm.wire.json_windows import Cut, Window

_SPACE = b" \t\n\r"
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKET = re.compile(rb"[\[\]{}]")
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}
_MIN_ROUNDS = 16  # in which pairs of brackets are removed at once
_MIN_REMOVED = 128  # further rounds have to remove one in so many; otherwise brackets are walked
_ROOM = b" " * 8192  # of a shortened text: orjson sizes its memory by the text, for fewer levels
_SURROGATE = 6  # bytes of an escaped one
_MARGIN = 16  # characters at the end of a shortened text, whose errors may come of that


class _Edge(Enum):
    """What is before or behind a segment."""

    TEXT = "the beginning or the end of the text"
    COMMA = "a comma"
    OPENED = "a bracket that is closed in another piece, or a long string"
    CLOSED = "the end of such a value"


class _InvalidError(Exception):
    """A piece is not JSON."""


def loads_in_pieces(text: bytes, leftovers: list[Any] | None = None) -> Generator[bool, None, Any]:
    """Return what `jsontext.loads` does, with pauses (`engine.decision.Pieces`).

    To free a large value takes as long as to decode it. So the members of lists and objects are
    also added to `leftovers`, in small containers: whoever has let go of the value removes these
    one by one.

    Raises:
        ValueError: as `jsontext.loads` does.
    """
    whole = text
    text = text.removeprefix(jsontext.BYTE_ORDER_MARK)
    yield from jsontext.check_values(text, jsontext.MAX_VALUES)
    if len(text) <= json_windows.SLICE:
        return jsontext.loads(whole, max_values=None)
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
        self._value: Any = None
        self._repairs: bool | None = None

    def decode(self) -> Generator[bool, None, Any]:
        """Return the value of the text, in pieces."""
        size = json_windows.SLICE
        try:
            while self._edge is not _Edge.TEXT or not self._start:
                self._were_lists = [isinstance(each, list) for each in self._open]
                window = json_windows.open_window(self._text, self._start, size)
                has_cut = self._take_window(window)
                if not has_cut and window.ends_in_string and self._is_before_value(window):
                    yield from self._take_string(window)
                elif not has_cut:
                    yield from self._check_beginning(size)
                    size *= 2
                    continue
                size = json_windows.SLICE
                yield False
        except (_InvalidError, orjson.JSONDecodeError):
            return (yield from self._fail())
        return self._value

    def _take_window(self, window: Window) -> bool:
        """Take the text of a window up to a comma, or all if it is the last. Returns False if there
        is no comma in it."""
        if self._start + window.size >= len(self._text) and not window.ends_in_string:
            number = len(window.parts) - 1
            cut = Cut(len(window.neutral), number, len(window.parts[number]))
            self._take(window, cut, _Edge.TEXT)
            if self._open:
                raise _InvalidError
            self._start, self._edge = len(self._text), _Edge.TEXT
            return True
        found = json_windows.find_cut(window)
        if found is None:
            return False
        self._take(window, found, _Edge.COMMA)
        if not self._open:
            raise _InvalidError
        self._start, self._edge = self._start + found.offset + 1, _Edge.COMMA
        return True

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
        closing, opening = self._unmatched(window, cut)
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

    def _unmatched(self, window: Window, cut: Cut) -> tuple[list[int], list[int]]:
        """Return the offsets of the brackets up to `cut` that end containers which were open
        before, and of those that begin containers which are open behind it."""
        closing: list[int] = []
        opening: list[tuple[int, int]] = []
        offset, deepest = 0, 0
        for number in range(0, cut.number + 1, 2):
            part = window.parts[number]
            for match in _BRACKET.finditer(part, 0, cut.at if number == cut.number else len(part)):
                at = match.start()
                bracket = part[at]
                if bracket in _CLOSING:
                    opening.append((_CLOSING[bracket], offset + at))
                    deepest = max(deepest, len(opening) - len(closing))
                elif not opening:
                    closing.append(offset + at)
                elif opening.pop()[0] != bracket:
                    raise _InvalidError
            if number < cut.number:
                offset += len(part) + len(window.parts[number + 1]) + 2
        if len(closing) > len(self._open) or len(self._open) + deepest > jsontext.MAX_LEVELS:
            raise _InvalidError
        return closing, [at for _, at in opening]

    def _take_segment(
        self, window: Window, start: int, end: int, before: _Edge, behind: _Edge
    ) -> None:
        """Decode what is between two offsets of a window, in the innermost open container."""
        segment = self._text[self._start + start : self._start + end]
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
        elif segment.strip(_SPACE) or behind is _Edge.COMMA:
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
        if not found:
            raise _InvalidError  # two commas, or one before or behind a bracket
        added = found[has_ended : len(found) - begins]
        entries.extend(added)
        self._keep(added)

    def _take_members(
        self, members: dict[str, Any], segment: bytes, before: _Edge, behind: _Edge
    ) -> None:
        if before is _Edge.CLOSED:
            segment = segment.lstrip(_SPACE)
            if not segment and behind is not _Edge.OPENED:
                return
            if not segment.startswith(b","):
                raise _InvalidError
            segment = segment[1:]
        found = self._loads(b"{%b%b}" % (segment, b'""' if behind is _Edge.OPENED else b""))
        if not found:
            raise _InvalidError
        members.update(found)
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
        before = self._text[self._start : self._start + window.string_offset].rstrip(_SPACE)
        if before:
            return before[-1:] in (b"[", b":")
        if self._edge is _Edge.COMMA:
            return isinstance(self._open[-1], list)
        return self._edge is _Edge.TEXT

    def _take_string(self, window: Window) -> Generator[bool, None, None]:
        """Decode the string that begins in a window and does not end in it, in pieces."""
        offset = window.string_offset
        number = len(window.parts) - 2
        self._take(window, Cut(offset, number, len(window.parts[number])), _Edge.OPENED)
        self._string_from = self._start + offset + 1
        pieces: list[str] = []
        while True:
            text, has_ended = json_windows.string_piece(self._text, self._string_from)
            if not text and not has_ended:
                raise _InvalidError
            pieces.append(self._loads(b'"%b"' % text))
            self._string_from += len(text)
            if has_ended:
                break
            yield False
        self._add("".join(pieces))
        self._start, self._edge = self._string_from + 1, _Edge.CLOSED
        self._string_from = None

    # -- Errors ------------------------------------------------------------------------------------

    def _loads(self, text: bytes) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            if not self._has_surrogates(text):
                raise
            return orjson.loads(jsontext.replace_lone_surrogates(text))

    def _has_surrogates(self, piece: bytes) -> bool:
        """Return True if lone surrogates in a piece of the text are replaced: if there are not too
        many in all."""
        if b"\\ud" not in piece and b"\\uD" not in piece:
            return False
        if len(self._text) <= jsontext.MAX_VALUES * _SURROGATE:
            return True
        if self._repairs is None:
            self._repairs = jsontext.may_have_surrogates(self._text)
        return self._repairs

    def _check_beginning(self, size: int) -> Generator[bool, None, None]:
        """Check that the text up to `size` bytes behind the last cut can be the beginning of JSON,
        before more of it is decoded at once."""
        if self._error_in(self._start, self._open_text(), size) is not None:
            raise _InvalidError
        yield False

    def _fail(self) -> Generator[bool, None, Any]:
        """Raise the error of the text behind the last cut."""
        start, before = self._start, self._open_text()
        if self._string_from is not None:
            start, before = self._string_from, b'"'
        lines, characters, last = 1, 0, -1
        for at, end, piece in json_windows.slices(self._text):
            yield False
            if at >= start:
                continue  # invalid UTF-8 is the error of a text, wherever it is
            counted = piece if end <= start else self._text[at:start].decode()
            lines += counted.count("\n")
            if "\n" in counted:
                last = characters + counted.rfind("\n")
            characters += len(counted)
        size = json_windows.SLICE
        while (error := self._error_in(start, before, size)) is None:
            if start + size >= len(self._text):
                return jsontext.loads(self._text, max_values=None)
            yield True
            size *= 2
        message, position, document = error
        column = document.rfind("\n", 0, position)
        lines += document.count("\n", 0, position)
        position += characters - len(before)
        last = last if column < 0 else characters - len(before) + column
        raise ValueError(f"{message}: line {lines} column {position - last} (char {position})")

    def _open_text(self) -> bytes:
        """Return a text that leaves the same containers open, as far as an error shows it."""
        kinds = self._were_lists
        if not kinds:
            return b'""' if self._edge is _Edge.CLOSED else b""
        outer = b"".join(b"[" if is_list else b'{"":' for is_list in kinds[:-1])
        if self._edge is _Edge.COMMA:
            return outer + (b'["",' if kinds[-1] else b'{"":"",')
        return outer + (b'[""' if kinds[-1] else b'{"":""')

    def _error_in(self, start: int, before: bytes, size: int) -> tuple[str, int, str] | None:
        """Return the error in `size` bytes of the text from `start` on, behind `before`, with its
        position and the text; None if it has none, or comes of the end."""
        end = json_windows.end_of_character(self._text, start + size)
        document = before + self._text[start:end]
        if document.isspace() and end < len(self._text):
            return None  # the value may begin behind it
        room = b"" if document.isspace() else _ROOM
        if self._has_surrogates(document):
            document = jsontext.replace_lone_surrogates(document)
        try:
            orjson.loads(room + document)
        except orjson.JSONDecodeError as exc:
            text = exc.doc
            if end == len(self._text) or exc.pos < len(text) - _MARGIN:
                return exc.msg, exc.pos - len(room), text[len(room) :]
        return None


_CONTAINERS: dict[int, type[list[Any]] | type[dict[str, Any]]] = {
    ord("["): list,
    ord("]"): list,
    ord("{"): dict,
    ord("}"): dict,
}
