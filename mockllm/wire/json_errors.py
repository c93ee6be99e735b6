"""Finds the error in a large text that is not JSON, with pauses: the one that decoding all of it at
once would raise. It decodes short beginnings of what is behind the last cut.
"""

from __future__ import annotations

from typing import Any, NoReturn

import orjson

from mockllm.pieces import Pieces
from mockllm.wire import json_windows, jsontext

_ROOM = b" " * 8192  # of a shortened text: orjson sizes its memory by the text, for fewer levels
_SURROGATE = 6  # bytes of an escaped one
_MARGIN = 16  # characters at the end of a shortened text, whose errors may come of that


class Errors:
    """The errors of `text`, which has no byte-order mark."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._repairs: bool | None = None

    def has_surrogates(self, piece: bytes) -> bool:
        """Return True if lone surrogates in a piece of the text are replaced: if there are not too
        many in all."""
        if b"\\ud" not in piece and b"\\uD" not in piece:
            return False
        if len(self._text) <= jsontext.MAX_VALUES * _SURROGATE:
            return True
        if self._repairs is None:
            self._repairs = jsontext.may_have_surrogates(self._text)
        return self._repairs

    def find(self, start: int, before: bytes, size: int) -> tuple[str, int, str] | None:
        """Return the error in `size` bytes of the text from `start` on, behind `before`, with its
        position and the text; None if it has none, or comes of the end."""
        end = json_windows.end_of_character(self._text, start + size)
        document = before + self._text[start:end]
        if document.isspace() and end < len(self._text):
            return None  # the value may begin behind it
        room = b"" if document.isspace() else _ROOM
        if self.has_surrogates(document):
            document = jsontext.replace_lone_surrogates(document)
        try:
            orjson.loads(room + document)
        except orjson.JSONDecodeError as exc:
            text = exc.doc
            if end == len(self._text) or exc.pos < len(text) - _MARGIN:
                return exc.msg, exc.pos - len(room), text[len(room) :]
        return None

    def fail(self, start: int, before: bytes, held: bytes = b"", cut: int = 0) -> Pieces[Any]:
        """Raise the error of the text from `start` on, behind `before`, which leaves the containers
        open that are open there. If that has none, return the value of the whole text. Between the
        two is what is `held`, which begins at the offset `cut` and has no error in it.

        Raises:
            ValueError: always, but for that.
        """
        size = json_windows.SLICE
        while (error := self.find(start, before + held, size)) is None:
            if start + size >= len(self._text):
                return jsontext.loads(self._text, max_values=None)
            yield True
            size *= 2
        message, position, document = error
        if position < len(before):  # a comma before the cut
            start, held = cut, b""
        lines, characters, last = yield from self._count(start)
        if document.isspace():
            _refuse(message, 1, 0, -1)  # so is all of the text
        behind = len((before + held).decode())
        column = document.rfind("\n", behind, position)
        lines += document.count("\n", behind, position)
        position += characters - behind
        last = last if column < 0 else characters - behind + column
        _refuse(message, lines, position, last)

    def refuse(self, at: int, message: str) -> Pieces[None]:
        """Raise an error of our own, about what is at the offset `at`.

        Raises:
            ValueError: always.
        """
        lines, characters, last = yield from self._count(at)
        _refuse(message, lines, characters, last)

    def _count(self, start: int) -> Pieces[tuple[int, int, int]]:
        """Return the number of lines and of characters up to `start`, and the position of the last
        line's end, -1 if it is the first line."""
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
        return lines, characters, last


def _refuse(message: str, lines: int, position: int, last: int) -> NoReturn:
    raise ValueError(f"{message}: line {lines} column {position - last} (char {position})")
