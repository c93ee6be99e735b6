"""Splits text into the deltas of a stream.

The pieces of a text joined are the text, and no piece begins or ends inside a grapheme cluster
(UAX #29): a flag, an emoji with its modifiers or a letter with its accents arrives in one delta.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Literal

import regex

Chunk = Literal["word", "char", "token"] | int
"""``word``: a word with the white space before it; ``char``: one grapheme; ``token``: roughly a
token of a model; a number: that many graphemes."""

MAX_WORD = 16  # graphemes; scripts without spaces and base64 still arrive in several deltas
MAX_DELTAS = 10_000  # of one text
TOKEN = 4  # graphemes, the usual rule of thumb for a token


Pattern = re.Pattern[str] | regex.Pattern[str]


def split(text: str, chunk: Chunk = "word") -> Iterator[str]:
    """Split `text` lazily into its deltas. An empty text has none.

    The second half of `MAX_DELTAS` is joined from pieces, so that there are no more. Nothing is
    looked for ahead of the piece that is taken: to count the pieces first would take 30 ms.
    """
    if isinstance(chunk, int) and chunk >= len(text):
        return iter([text] if text else [])
    matches = _pattern(chunk, plain=text.isascii()).finditer(text)
    pieces = (match[0] for match in matches)
    if len(text) <= MAX_DELTAS // 2:
        return pieces
    return _join_late_pieces(pieces, len(text))


def _join_late_pieces(pieces: Iterator[str], size: int) -> Iterator[str]:
    """The first `MAX_DELTAS` // 2 of the pieces of a text with `size` characters, then the others
    joined to larger ones: each but the last has its share of what is left of the text."""
    for piece in islice(pieces, MAX_DELTAS // 2):
        size -= len(piece)
        yield piece
    yield from _join_pieces(pieces, least=-(-size // (MAX_DELTAS // 2)))


def _join_pieces(pieces: Iterator[str], *, least: int) -> Iterator[str]:
    """Join `pieces` to larger ones of at least `least` characters each, except for the last."""
    together: list[str] = []
    size = 0
    for piece in pieces:
        together.append(piece)
        size += len(piece)
        if size >= least:
            yield "".join(together)
            together, size = [], 0
    if together:
        yield "".join(together)


@cache
def _pattern(chunk: Chunk, *, plain: bool) -> Pattern:
    """The pattern of a piece. In `plain` ASCII a grapheme is a character or CRLF, and `re` finds
    pieces fifty times as fast as `regex`; a property test compares the two."""
    if plain:
        grapheme, space, other = r"(?:\r\n|[\0-\x7f])", r"[\t-\r ]", r"[^\t-\r ]"
    else:
        grapheme, space, other = r"\X", r"\s", r"(?!\s)\X"
    match chunk:
        case "word":
            pattern = rf"{space}*(?:{other}){{1,{MAX_WORD}}}|{grapheme}+"
        case "token":
            pattern = rf"{space}*(?:{other}){{1,{TOKEN}}}|{grapheme}+"
        case "char":
            pattern = grapheme
        case _:
            pattern = rf"{grapheme}{{1,{chunk}}}"
    return re.compile(pattern) if plain else regex.compile(pattern)
