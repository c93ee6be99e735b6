"""Reads contents and lists of a request, whatever their types are; long ones with pauses.

What is not of the expected type has no texts and no entries: an API refuses it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from mockllm.limits import KIB
from mockllm.wire import json_encoding

Members = Mapping[str, Any]
TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
PARTS_AT_ONCE = 1_000  # of one content, that are read without a pause: 0.5 to 2 ms
_JOINED_AT_ONCE = 256 * KIB  # characters; each time, they are added to those before
_T = TypeVar("_T")


def text(value: Any) -> str:
    """`value` if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> Iterable[dict[str, Any]]:
    """The objects in a list, in order; none if `value` is not a list."""
    if is_long(value):
        return (entry for entry in value if isinstance(entry, dict))
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def texts(value: Any) -> Iterator[str]:
    """The texts of a content: the string itself, or those of its text parts and refusals."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            match part:
                case {"type": "refusal", "refusal": str() as text}:
                    yield text
                case {"type": str() as kind, "text": str() as text} if kind in TEXT_TYPES:
                    yield text


def only_text(value: Any) -> str | None:
    """The text of a content that is a string or a list of one text part, else None."""
    if isinstance(value, str):
        return value
    match value:
        case [{"type": str() as kind, "text": str() as text}] if kind in TEXT_TYPES:
            return text
        case _:
            return None


def is_long(value: Any) -> TypeGuard[list[Any]]:
    """True for a list that is read in pieces."""
    return isinstance(value, list) and len(value) > PARTS_AT_ONCE


def read_in_slices(
    values: Any, read: Callable[[Any], Iterable[_T]]
) -> Generator[None, None, Sequence[_T]]:
    """Return what `read` gives of a value; of a long list, of which it reads each entry on its own,
    with pauses, as a list that has grown meanwhile. A string, which most contents are, is better
    read at once: this takes 0.2 µs."""
    if not is_long(values):
        return tuple(read(values))
    found: list[_T] = []
    for start in range(0, len(values), PARTS_AT_ONCE):
        found += read(values[start : start + PARTS_AT_ONCE])
        yield
    return found


def gather(found: Iterable[_T | None]) -> Generator[None, None, list[_T]]:
    """Return what is found, with a pause at each None."""
    gathered: list[_T] = []
    for each in found:
        if each is None:
            yield
        else:
            gathered.append(each)
    return gathered


def write_in_pieces(members: Members) -> Generator[None, None, str]:
    """The compact JSON of a large object, with pauses."""
    written, pieces, size = "", [], 0
    for piece in json_encoding.dumps_in_pieces(members):
        pieces.append(piece.decode())
        size += len(piece)
        if size > _JOINED_AT_ONCE:
            written += "".join(pieces)  # grows in place; to join 60 MB at once takes 40 ms
            pieces, size = [], 0
        yield
    written += "".join(pieces)
    return written
