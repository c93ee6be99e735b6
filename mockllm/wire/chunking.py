"""Splits text into the deltas of a stream.

The pieces of a text joined are the text, and no piece begins or ends inside a grapheme cluster
(UAX #29): a flag, an emoji with its modifiers or a letter with its accents arrives in one delta.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import regex

Chunk = Literal["word", "char", "token"] | int
"""``word``: a word with the white space before it; ``char``: one grapheme; ``token``: roughly a
token of a model; a number: that many graphemes."""

MAX_WORD = 16  # graphemes; scripts without spaces and base64 still arrive in several deltas
MAX_DELTAS = 10_000  # of one text; rendering more would block the server
TOKEN = 4  # graphemes of one word, the usual rule of thumb for a token


def split(text: str, chunk: Chunk = "word") -> list[str]:
    """Split `text` into at most MAX_DELTAS deltas: those of longer texts are larger. An empty text
    has none."""
    if not text:
        return []
    pieces = _splitter(chunk)(text)
    if len(pieces) <= MAX_DELTAS:
        return pieces
    together = -(-len(pieces) // MAX_DELTAS)
    return ["".join(pieces[at : at + together]) for at in range(0, len(pieces), together)]


@cache
def _splitter(chunk: Chunk) -> Callable[[str], list[str]]:
    match chunk:
        case "word":
            pattern = rf"\s*(?:(?!\s)\X){{1,{MAX_WORD}}}|\X+"
        case "token":
            pattern = rf"\s*(?:(?!\s)\X){{1,{TOKEN}}}|\X+"
        case "char":
            pattern = r"\X"
        case _:
            pattern = rf"\X{{1,{chunk}}}"
    compiled = regex.compile(pattern)
    return compiled.findall
