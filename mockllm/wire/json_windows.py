"""Finds the places where a JSON text can be cut: commas outside of strings, and the characters of a
long string. It decodes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mockllm.wire import jsontext

SLICE = 32 * 1024  # bytes that are decoded without a pause: 0.5 to 2 ms

MAX_UNDIVIDED = 128 * 1024
"""Maximum bytes of a name of a member, or of a number, which are decoded in 1 to 2 ms."""
MAX_SPACE = 1024 * 1024  # bytes of white space that are passed over without a pause: 1 ms
MIN_SPACE = 1024  # bytes of white space at the end of a window that is passed over
SPACE = b" \t\n\r"

_BRACKETS = (b"[", b"]", b"{", b"}")
_BRACKET = re.compile(rb"[\[\]{}]")
_NUMBER = re.compile(rb"[-+.0-9eE]+")
OPENING = {ord("["): ord("]"), ord("{"): ord("}")}
"""The brackets that open a container, each with the one that closes it."""
_CLOSING = frozenset(OPENING.values())
_COMMA = ord(",")
_TAIL = 512  # strings, and four times as many bytes beside them, in which a cut is looked for
_PAIR = 12  # bytes of an escaped surrogate pair, the longest spelling of a character
_FIRST_HALF = re.compile(rb"\\u[dD][89abAB]")


class Window(NamedTuple):
    """The `text` from a cut on, `size` bytes. In `neutral` no quote is escaped; `parts` is that
    split at the quotes, so that every second one is the inside of a string."""

    text: bytes
    size: int
    neutral: bytes
    parts: list[bytes]

    @property
    def ends_in_string(self) -> bool:
        """True if it ends inside a string."""
        return not len(self.parts) % 2

    @property
    def ends_in_space(self) -> bool:
        """True if it ends with much white space."""
        tail = self.text[-MIN_SPACE:]
        return not self.ends_in_string and len(tail) == MIN_SPACE and tail.isspace()

    @property
    def string_offset(self) -> int:
        """The offset of the quote before the string in which it ends."""
        return self.size - len(self.parts[-1]) - 1


class Cut(NamedTuple):
    """The place of a comma, in bytes from the beginning of a window: `at` bytes behind the start of
    the window's part `number`."""

    offset: int
    number: int
    at: int


def open_window(text: bytes, start: int, size: int, before: bytes = b"") -> Window:
    """Return the window of `before` and about `size` bytes from `start` on; both begin outside of
    strings."""
    chunk = jsontext.without_open_escape(before + text[start : start + size])
    neutral = jsontext.without_escaped_quotes(chunk)
    return Window(chunk, len(chunk), neutral, neutral.split(b'"'))


def find_cut(window: Window) -> Cut | None:
    """Return the place of a comma outside of strings near the end of a window, one with as few
    containers open as possible; None if there is no comma."""
    number = len(window.parts) - 1
    end = window.size
    if window.ends_in_string:
        end -= len(window.parts[number]) + 1
        number -= 1
    outside = b'"'.join(window.parts[max(number - 2 * _TAIL, number % 2) : number + 1 : 2])
    tail = outside[-4 * _TAIL :]
    level, lowest, found = 0, 0, -1
    for offset in range(len(tail) - 1, -1, -1):
        byte = tail[offset]
        if byte in OPENING:
            level -= 1
        elif byte in _CLOSING:
            level += 1
        elif byte == _COMMA and (level < lowest or found < 0):
            lowest, found = level, offset
    while found < 0:
        found = window.parts[number].rfind(b",")
        tail = window.parts[number]
        if found < 0:
            if not number:
                return None
            end -= len(tail) + len(window.parts[number - 1]) + 2
            number -= 2
    for _ in range(tail.count(b'"', found)):
        end -= len(window.parts[number]) + len(window.parts[number - 1]) + 2
        number -= 2
        tail = tail[: tail.rfind(b'"')]
    behind = len(tail) - found
    return Cut(end - behind, number, len(window.parts[number]) - behind)


def find_bracket(window: Window) -> Cut | None:
    """Return the place of a window's last bracket outside of strings; None if there is none."""
    end = window.size
    for number in range(len(window.parts) - 1, -1, -1):
        part = window.parts[number]
        if not number % 2:
            at = max(map(part.rfind, _BRACKETS))
            if at >= 0:
                return Cut(end - len(part) + at, number, at)
        end -= len(part) + 1
    return None


def unmatched_brackets(window: Window, cut: Cut) -> tuple[list[int], list[int], int] | None:
    """Return the offsets of the brackets up to `cut` that end containers which were open before, of
    those that begin containers which are open behind it, and how many more than before are open at
    most; None if a bracket is closed by one of the other kind."""
    closing: list[int] = []
    opening: list[tuple[int, int]] = []
    offset, deepest = 0, 0
    for number in range(0, cut.number + 1, 2):
        part = window.parts[number]
        for match in _BRACKET.finditer(part, 0, cut.at if number == cut.number else len(part)):
            at = match.start()
            bracket = part[at]
            if bracket in OPENING:
                opening.append((OPENING[bracket], offset + at))
                deepest = max(deepest, len(opening) - len(closing))
            elif not opening:
                closing.append(offset + at)
            elif opening.pop()[0] != bracket:
                return None
        if number < cut.number:
            offset += len(part) + len(window.parts[number + 1]) + 2
    return closing, [at for _, at in opening], deepest


def long_name_or_number(window: Window, *, is_value: bool) -> int | None:
    """Return the offset of a name of a member, or of a number, of more than `MAX_UNDIVIDED` bytes;
    None if there is none. `is_value` tells of the string in which the window ends, if it does."""
    offset, last = 0, len(window.parts) - 1
    for number, part in enumerate(window.parts):
        if not number % 2:
            for match in _NUMBER.finditer(part):
                if match.end() - match.start() > MAX_UNDIVIDED:
                    return offset + match.start()
        elif len(part) > MAX_UNDIVIDED:
            is_open = number == last
            if not is_value if is_open else window.parts[number + 1].lstrip().startswith(b":"):
                return offset - 1
        offset += len(part) + 1
    return None


def end_of_space(text: bytes, start: int) -> int:
    """Return the offset at which white space ends that begins at `start`, at most `MAX_SPACE`
    behind that."""
    chunk = text[start : start + MAX_SPACE]
    return start + len(chunk) - len(chunk.lstrip(SPACE))


def string_piece(text: bytes, start: int) -> tuple[bytes, bool]:
    """Return the next piece of a string, of about a slice, and whether the string ends behind it.
    The piece is empty if the string does not end.
    """
    chunk = jsontext.without_open_escape(text[start : start + SLICE])
    neutral = jsontext.without_escaped_quotes(chunk)
    end = neutral.find(b'"')
    if end >= 0:
        return chunk[:end], True
    if start + len(chunk) >= len(text):
        return b"", False
    end = len(chunk)
    escape = neutral.rfind(b"\\", end - _PAIR)
    if escape >= 0:
        end = escape
        if _FIRST_HALF.match(neutral, escape - _PAIR // 2, escape):
            end -= _PAIR // 2
    end = end_of_character(text, start + end) - start
    return chunk[: max(end, 0)], False


def end_of_character(text: bytes, offset: int) -> int:
    """Return the offset at or before `offset` at which no character of UTF-8 is divided."""
    if offset >= len(text):
        return len(text)
    for end in range(offset, max(offset - 4, -1), -1):
        if text[end] & 0xC0 != 0x80:
            return end
    return offset  # it is not UTF-8


def slices(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the slices of a text, with the offsets of their beginning and their end.

    Raises:
        ValueError: it is not UTF-8.
    """
    start = 0
    while start < len(text):
        end = end_of_character(text, start + SLICE)
        try:
            piece = text[start:end].decode()
        except UnicodeDecodeError:
            jsontext.loads(text[start:end], max_values=None)  # raises orjson's error
            raise
        yield start, end, piece
        start = end
