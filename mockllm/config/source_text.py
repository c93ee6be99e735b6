"""Decodes the text of configuration files, and names positions in it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import NamedTuple

from mockllm.errors import Severity

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_NUL_PATTERNS: Mapping[
    tuple[bool, ...], str
] = {  # of the first four bytes of a text that begins with ASCII (RFC 4627, section 3)
    (True, True, True, False): "UTF-32",
    (False, True, True, True): "UTF-32",
    (True, False, True, False): "UTF-16",
    (False, True, False, True): "UTF-16",
}


Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


MAX_REMARKS = 100  # on one file; nobody reads more


class Remark(NamedTuple):
    """A mistake at the value at `path` that does not prevent reading the rest of the file."""

    path: Path
    message: str
    severity: Severity = Severity.ERROR
    is_of_value: bool = False
    """True if the value itself is wrong, so that there is nothing more to say of it."""


class SourceError(ValueError):
    """A text that cannot be read. The message has the position and the remedy."""


def decode(content: bytes) -> str:
    """Return the text of a file, which must be UTF-8; a leading byte-order mark is removed.

    Raises:
        SourceError: the file has another encoding.
    """
    encoding = _other_encoding(content)
    if encoding is not None:
        raise SourceError(f"line 1 column 1: the file is {encoding}; save it as UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        before = content[: exc.start].decode()
        where = position(before, len(before))
        raise SourceError(
            f"{where}: byte 0x{content[exc.start]:02X} is not UTF-8 (the file may be Latin-1 or "
            "Windows-1252); save it as UTF-8"
        ) from exc


def position(text: str, offset: int) -> str:
    """Return a position in `text` as ``line 2 column 8``, both counted from 1."""
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return f"line {line} column {column}"


def _other_encoding(content: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding
    return _NUL_PATTERNS.get(tuple(byte == 0 for byte in content[:4]))
