"""Explains syntax errors of JSON files: what stands there, and what to write instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from mockllm.config.json_scanner import TEXT_START, State, Unexpected
from mockllm.config.source_text import position

MAX_WORD = 40  # characters of a quoted word: enough to recognise it

_COMMENT = re.compile(r"//|/\*|#|<!--")
_WORD = re.compile(r"[-+]?[^\W\d][\w$-]*")
_NUMBER = re.compile(r"[-+.]*[0-9][\w.+-]*")
_YAML = re.compile(r"---|%YAML|- |[\w$.-]+:(?:\s|\Z)")
_QUOTES = "'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"  # including the typographic ones
_CONSTANTS = {"true": "true", "false": "false", "none": "null", "null": "null", "nil": "null"}
_CONSTANTS |= {"undefined": "null", "yes": "true", "no": "false", "on": "true", "off": "false"}
_NOT_FINITE = {"nan", "inf", "infinity"}
_CONTROL = {
    "\n": "the text does not end on its line; add the closing quote, or write \\n for a line break",
    "\t": "a tab inside a text; write \\t",
    "\r": "a carriage return inside a text; write \\r",
}


class _Spot(NamedTuple):
    """An unexpected token and its surroundings."""

    text: str
    offset: int
    error: Unexpected

    @property
    def character(self) -> str:
        """The character at the offset; empty at the end of the text."""
        return self.text[self.offset : self.offset + 1]

    def word(self, pattern: re.Pattern[str]) -> str:
        """The word that begins at the offset; empty if it is none of `pattern`."""
        found = pattern.match(self.text, self.offset)
        return str(found[0])[:MAX_WORD] if found else ""


Remedy = tuple[int, str]
"""The offset of a mistake, and what it is and what to do."""


def explain(text: str, error: Unexpected) -> str:
    """Describe a syntax error with its position and remedy: ``line 3 column 8: a comma before the
    closing ]; remove it``."""
    spot = _Spot(text, error.offset, error)
    for remedy_of in _REMEDIES:
        remedy = remedy_of(spot)
        if remedy is not None:
            offset, message = remedy
            return f"{position(text, offset)}: {message}"
    character = spot.character
    name = unicodedata.name(character, "no character").lower()
    shown = repr(character) if character.isascii() else f"U+{ord(character):04X} ({name})"
    return f"{position(text, error.offset)}: expected {_expected(error)}, found {shown}"


def _expected(error: Unexpected) -> str:
    if error.state is State.NEXT:
        return f"a comma or {error.open_containers[-1].closing}"
    return str(error.state.value)


# --- remedies, each None if its mistake is another ------------------------------------------------


def _end_of_file(spot: _Spot) -> Remedy | None:
    if spot.offset < len(spot.text):
        return None
    if not spot.error.open_containers:
        example = '{"mocks": [...]}'
        return 0, f"the file is empty; expected an object such as {example}"
    innermost = spot.error.open_containers[-1]
    opened = position(spot.text, innermost.offset)
    return spot.offset, (
        f"the file ends inside the {innermost.kind} that is opened in {opened}; "
        f"add {innermost.closing}"
    )


def _comment(spot: _Spot) -> Remedy | None:
    if not _COMMENT.match(spot.text, spot.offset):
        return None
    return spot.offset, (
        "JSON has no comments; remove it, write it as a key that begins with an underscore "
        '("_comment": "..."), or use YAML (*.yaml)'
    )


def _comma(spot: _Spot) -> Remedy | None:
    if spot.error.comma is not None and spot.character in ("]", "}"):
        return spot.error.comma, f"a comma before the closing {spot.character}; remove it"
    if spot.character == "," and spot.error.state not in (State.COLON, State.NEXT):
        return spot.offset, "a comma too many; remove it"
    return None


def _yaml(spot: _Spot) -> Remedy | None:
    state = spot.error.state
    if spot.error.open_containers or state is State.END or not _YAML.match(spot.text, spot.offset):
        return None
    return spot.offset, "this looks like YAML; name the file *.yaml"


def _quotes(spot: _Spot) -> Remedy | None:
    if not spot.character or spot.character not in _QUOTES:
        return None
    return spot.offset, f'{spot.character} as a quotation mark; JSON has double quotes (")'


def _broken_text(spot: _Spot) -> Remedy | None:
    start = TEXT_START.match(spot.text, spot.offset)
    if start is None or spot.text.startswith('"', start.end()):
        return None
    offset = start.end()
    character = spot.text[offset : offset + 1]
    if not character:
        return spot.offset, "the text does not end; add the closing quote"
    if character == "\\":
        escape = spot.text[offset : offset + 2]
        return offset, f"{escape} is not an escape of JSON; write \\\\ for a backslash"
    control = f"a control character in a text; write \\u{ord(character):04x}"
    return offset, _CONTROL.get(character, control)


def _second_value(spot: _Spot) -> Remedy | None:
    if spot.error.state is not State.END:
        return None
    if spot.character in ("]", "}"):
        return spot.offset, f"a {spot.character} too many; remove it"
    if spot.character in ("{", "[", '"'):
        return spot.offset, (
            "a second value (JSON Lines?); a file has one object: write the mocks as one list, "
            '{"mocks": [..., ...]}, or put each value into a file of its own'
        )
    return None


def _missing_comma(spot: _Spot) -> Remedy | None:
    starts_value = spot.character in ('"', "{", "[") or spot.word(_NUMBER) or spot.word(_WORD)
    if spot.error.state is not State.NEXT or not starts_value:
        return None
    return spot.offset, "a comma is missing before this"


def _wrong_bracket(spot: _Spot) -> Remedy | None:
    if spot.error.state is not State.NEXT or spot.character not in ("]", "}"):
        return None
    innermost = spot.error.open_containers[-1]
    opened = position(spot.text, innermost.offset)
    return spot.offset, (
        f"expected {innermost.closing} to close the {innermost.kind} that is opened in {opened}, "
        f"found {spot.character}"
    )


def _missing_colon(spot: _Spot) -> Remedy | None:
    if spot.error.state is not State.COLON:
        return None
    return spot.offset, f"expected a colon after the key, found {spot.character!r}"


def _bare_key(spot: _Spot) -> Remedy | None:
    word = spot.word(_WORD) or spot.word(_NUMBER)
    if not word or spot.error.state not in (State.KEY, State.FIRST_KEY):
        return None
    return spot.offset, f'keys are in double quotes; write "{word}"'


def _word(spot: _Spot) -> Remedy | None:
    word = spot.word(_WORD)
    if not word:
        return None
    bare = word.lstrip("+-").lower()
    if bare in _NOT_FINITE:
        return spot.offset, f"{word} is not a number of JSON; write a finite number or null"
    if bare in _CONSTANTS:
        return spot.offset, f"{word} is not JSON; write {_CONSTANTS[bare]}, or a text in quotes"
    return spot.offset, f'texts are in double quotes; write "{word}"'


def _number(spot: _Spot) -> Remedy | None:
    word = spot.word(_NUMBER)
    if not word:
        return None
    return spot.offset, (
        f"{word} is not a number of JSON; write it as in 12, -0.5 or 1e9, or as a text in quotes"
    )


_REMEDIES: tuple[Callable[[_Spot], Remedy | None], ...] = (
    _end_of_file,
    _comment,
    _comma,
    _yaml,
    _quotes,
    _second_value,
    _wrong_bracket,
    _missing_colon,
    _missing_comma,
    _broken_text,
    _bare_key,
    _word,
    _number,
)
"""The first that knows the mistake explains it."""
