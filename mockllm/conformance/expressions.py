"""Texts that match a regular expression of RE2, where they are easily found.

An expression is read once from left to right. Of alternatives the first is taken, of repetitions
the fewest or one more, of a class of characters the first that RE2 accepts. What it means is RE2's
business: whoever asks tests the texts, and not every expression has one here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from mockllm.matching.expressions import compile_expression

_CHARACTERS = f"a0A -_.é{string.printable}"
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,\d*)?\})\??")
_FLAGS = re.compile(r"\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?:)")
_SETTING = re.compile(r"\(\?[imsU]*(?:-[imsU]+)?\)")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_SHORT_CLASS = re.compile(r"\\(?:[dDwWsS]|[pP](?:\w|\{\^?\w+\}))")
_CODE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\})")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)", re.DOTALL)
_POSITIONS = frozenset("bBAzZ")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


def find_matching(expression: str) -> Iterator[str]:
    """Yield texts that are likely to match a valid `expression`, the shortest first."""
    for more in (0, 1):
        yield _Reader(expression, more).alternatives()


class _Reader:
    """Reads one expression. Each method returns a text for the part that it reads; `more` is added
    to the fewest repetitions."""

    def __init__(self, expression: str, more: int) -> None:
        self._expression = expression
        self._more = more
        self._at = 0

    def alternatives(self) -> str:
        """Read up to the end of the group, or of the expression."""
        first = self._sequence()
        while self._takes("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        texts: list[str] = []
        while self._rest and self._rest[0] not in "|)":
            atom = self._atom()
            found = self._match(_QUANTIFIER)
            if found is None:
                texts.append(atom)
            else:
                fewest = int(found[1]) if found[1] else int(found[0].startswith("+"))
                texts.append(atom * (fewest + self._more))
        return "".join(texts)

    def _atom(self) -> str:
        if self._match(_SETTING):
            return ""
        if self._takes("("):
            self._match(_FLAGS)
            text = self.alternatives()
            self._takes(")")
            return text
        if found := self._match(_QUOTED):
            return found[1]
        if found := self._match(_CODE):
            return chr(int(found[1] or found[2], 16))
        if found := self._match(_CLASS) or self._match(_SHORT_CLASS):
            return _character_of(found[0])
        return self._character()

    def _character(self) -> str:
        character = self._rest[0]
        self._at += 1
        if character == "\\" and self._rest:
            escaped = self._rest[0]
            self._at += 1
            return "" if escaped in _POSITIONS else _CONTROLS.get(escaped, escaped)
        if character in "^$":
            return ""
        return "a" if character == "." else character

    @property
    def _rest(self) -> str:
        return self._expression[self._at :]

    def _takes(self, text: str) -> bool:
        taken = self._expression.startswith(text, self._at)
        self._at += len(text) if taken else 0
        return taken

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._expression, self._at)
        if found is not None:
            self._at = found.end()
        return found


def _character_of(characters: str) -> str:
    """Return a character of a class; the empty text if none is found."""
    compiled = compile_expression(characters, ignore_case=False)
    known = dict.fromkeys(_CHARACTERS + characters)
    return next((each for each in known if compiled.fullmatch(each)), "")
