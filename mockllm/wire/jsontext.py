"""JSON texts (RFC 8259): decoding, encoding and comparing.

Decoding is orjson's, with allowances for what real clients send. Encoding gives one compact line
that every SSE decoder reads as one. Values are compared by their canonical bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_SHOWN = 60  # characters of a value: enough to recognise it, too few to flood a log

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MAX_VALUES = 1_000_000
"""Maximum number of values in a client's text. A million take half a second and 150 MB, and a body
of 64 MB could contain 30 million. The largest request of a real service has 300,000: tokens, for
embeddings."""

MAX_LEVELS = 1024
"""Maximum depth of lists and objects that orjson decodes."""

_ENCODED_LEVELS = 254  # the maximum depth that orjson encodes
_PIECE = 128 * 1024  # bytes; a text split at every quote takes thirty times its size

_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*+)"  # escaped backslashes before it
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
"""An escaped surrogate pair, or a lone half of one."""
_UNCHANGED = frozenset({int, str, bool, type(None)})  # of which no value is spelled in two ways
_LINE_SEPARATORS = (
    ("\u0085".encode(), rb"\u0085"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def loads(text: bytes, *, max_values: int | None = MAX_VALUES) -> Any:
    """Decode a JSON text of at most about `max_values` values (None: any number).

    A leading byte-order mark is skipped, a lone surrogate escape becomes U+FFFD, and the last of
    duplicate keys wins.

    Raises:
        ValueError: not JSON by RFC 8259 (which excludes NaN and Infinity), nested deeper than
            orjson's 1,024 levels, or too many values; the message contains the position.
    """
    if max_values is not None and len(text) + MAX_LEVELS > max_values:  # few texts may have more
        for _ in check_values(text, max_values):
            pass
    try:
        return orjson.loads(text)  # as nearly always
    except orjson.JSONDecodeError:
        return _loads_leniently(text.removeprefix(BYTE_ORDER_MARK))


def _loads_leniently(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        if not may_have_surrogates(text):
            raise ValueError(str(exc)) from exc
    try:
        return orjson.loads(replace_lone_surrogates(text))
    except orjson.JSONDecodeError as exc:
        raise ValueError(str(exc)) from exc


def may_have_surrogates(text: bytes) -> bool:
    """True if lone surrogates in a text are replaced where it is not JSON."""
    return 0 < text.count(b"\\ud") + text.count(b"\\uD") <= MAX_VALUES


def replace_lone_surrogates(text: bytes) -> bytes:
    """Replace the escape of each lone surrogate in a JSON text by that of U+FFFD."""
    return _SURROGATE.sub(_replace_lone_surrogate, text)


def without_open_escape(text: bytes) -> bytes:
    """Return the beginning of a JSON text without a backslash at its end that escapes what follows
    there."""
    backslashes = len(text) - len(text.rstrip(b"\\"))
    return text[:-1] if backslashes % 2 else text


def without_escaped_quotes(text: bytes) -> bytes:
    """Return a JSON text of the same size in which all quotes delimit strings."""
    return text.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in text else text


def check_values(text: bytes, most: int) -> Iterator[bool]:
    """Check that a JSON text has at most `most` values, with pauses (each yields False); an
    empty list or object counts twice.

    Separators are counted: first all of them, which is quick, then those outside strings. Beyond
    the levels that orjson decodes, two separators need three bytes at least (``[],``).

    Raises:
        ValueError: it has more.
    """
    if len(text) <= (most - MAX_LEVELS) * 3 // 2:
        return
    separators = 0
    for start in range(0, len(text), _PIECE):
        separators += _separators(text[start : start + _PIECE])
        yield False
    if separators < most:
        return
    values, in_string, start = 1, 0, 0
    while start < len(text):
        piece = without_open_escape(text[start : start + _PIECE])
        start += len(piece) or 1
        parts = without_escaped_quotes(piece).split(b'"')
        values += _separators(b" ".join(parts[in_string::2]))
        if values > most:
            raise ValueError(f"it has more than {most:,} values")
        in_string ^= (len(parts) - 1) % 2
        yield False


def dumps(value: Any) -> bytes:
    """Encode as one compact line. U+0085, U+2028 and U+2029 are escaped: clients that split a
    stream with `str.splitlines` would cut a line there."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = _dumps_deep(value, canonical=False)
    if b"\xc2" in text or b"\xe2" in text:  # found fifty times as fast as the separators
        for separator, escape in _LINE_SEPARATORS:
            if separator in text:
                text = text.replace(separator, escape)
    return text


def is_longer(value: Any, size: int) -> bool:
    """Return True if the canonical form of a JSON value has certainly more than `size` bytes. It
    looks at no more than as many values."""
    least = 0
    todo = [value]
    while todo:
        entry = todo.pop()
        if isinstance(entry, str):
            least += len(entry) + 2
        elif isinstance(entry, dict):
            least += 1 + 4 * len(entry)
            if least <= size:
                least += sum(map(len, entry))
                todo += entry.values()
        elif isinstance(entry, (list, tuple)):
            least += 1 + len(entry)
            if least <= size:
                todo += entry
        else:
            least += 1
        if least > size:
            return True
    return False


def has_many_values(value: Any, most: int) -> bool:
    """Return True if a JSON value has more than `most` values. It looks at no more."""
    values = 1
    todo = [value]
    while todo:
        entry = todo.pop()
        if isinstance(entry, (dict, list, tuple)):
            values += len(entry)
            if values > most:
                return True
            todo += entry.values() if isinstance(entry, dict) else entry
    return False


def canonical(value: Any) -> bytes:
    """Encode so that two texts are equal if and only if the values are: the order of keys and the
    spelling of numbers and strings do not matter, and ``true`` is not 1."""
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        return _dumps_deep(value, canonical=True)


def is_shallow(value: Any, levels: int) -> bool:
    """True if a value has no more than so many levels of lists and objects, and nothing in it that
    JSON has not. To decide that takes as long as to encode the value."""
    for _ in range(_ENCODED_LEVELS - levels):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def find_unserialisable(value: Any) -> Iterator[tuple[list[int | str], str]]:
    """Yield the path and a description of everything in a Python value that JSON cannot represent.
    A value decoded from JSON yields nothing."""
    if _survives_round_trip(value):
        return
    todo: list[tuple[list[int | str], Any]] = [([], value)]
    while todo:
        path, found = todo.pop()
        match found:
            case dict():
                for key, member in found.items():
                    if not isinstance(key, str) or _leaf_error(key):
                        yield path, f"expected string keys, found {key!r:.60}"
                    else:
                        todo.append(([*path, key], member))
            case list() | tuple():
                todo += [([*path, index], member) for index, member in enumerate(found)]
            case _ if (error := _leaf_error(found)) is not None:
                yield path, error


def canonical_text(role: str, content: str) -> bytes:
    """The canonical form of ``{"role": role, "content": content}``, the shape of most messages."""
    return orjson.dumps({"content": content, "role": role})


def json_type(value: Any) -> str:
    """The JSON type of a decoded value, with its article: ``a string``, ``an object``, ``null``."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def describe(value: Any) -> str:
    """Describe a value in an error message: ``'gpt-4o'`` (the start of it), ``5``, ``true``, ``a
    list``. Accepts any Python value."""
    match value:
        case None | list() | tuple() | dict():
            return json_type(value)
        case str():
            # Only the start is quoted, because a value may be megabytes long. `repr` escapes what
            # may not be sent or logged: lone surrogates, control characters.
            return _cut(repr(value[: MAX_SHOWN + 1]))
        case bool() | int() | float():
            return _cut(json.dumps(value))
        case _:
            return f"not a JSON value ({type(value).__name__})"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _survives_round_trip(value: Any) -> bool:
    """True if a value is unchanged by encoding and decoding: a quick test that most pass."""
    try:
        return bool(orjson.loads(orjson.dumps(value)) == value)
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError):
        return False


def _leaf_error(leaf: Any) -> str | None:
    if isinstance(leaf, float) and not math.isfinite(leaf):
        return f"expected a finite number, found {leaf}"
    try:
        orjson.dumps(leaf)
    except orjson.JSONEncodeError as exc:
        found = str(leaf)[:60].encode("ascii", "backslashreplace").decode()
        return f"expected a JSON value, found {type(leaf).__name__} {found} ({exc})"
    return None


def _replace_lone_surrogate(match: re.Match[bytes]) -> bytes:
    backslashes, second_half = match.groups()
    return match[0] if second_half else backslashes + rb"\ufffd"


def _plain(value: Any) -> Any:
    """`value` with every whole number as an int, so that 1, 1.0 and 1e0 are encoded alike."""
    match value:
        case float() if value.is_integer() and -(2.0**63) <= value < 2.0**64:
            return int(value)
        case dict():
            return {key: _plain(member) for key, member in value.items()}
        case list() | tuple():
            if _UNCHANGED.issuperset(map(type, value)):  # 40 times as fast for tokens
                return value
            return [_plain(member) for member in value]
        case _:
            return value


def _dumps_deep(value: Any, *, canonical: bool) -> bytes:
    """Encode as orjson would if it had no limit of 254 levels: it decodes 1,024. The stack is an
    explicit list, because Python's would overflow before 1,024 levels too.

    Raises:
        TypeError: a value that JSON cannot represent.
    """
    done: list[bytes] = []
    todo = [value]
    while todo:
        match todo.pop():
            case bytes() as ready:
                done.append(ready)
            case dict() as members if members:
                entries = sorted(members.items()) if canonical else members.items()
                parts = [part for key, member in entries for part in (b",", key, b":", member)]
                todo += [b"}", *reversed(parts[1:]), b"{"]
            case list() | tuple() as members if members:
                parts = [part for member in members for part in (b",", member)]
                todo += [b"]", *reversed(parts[1:]), b"["]
            case leaf:
                done.append(orjson.dumps(_plain(leaf) if canonical else leaf))
    return b"".join(done)
