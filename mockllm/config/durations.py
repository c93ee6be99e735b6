"""Durations in a configuration: a number of seconds, or a text with a unit.

It knows how they are written, and which numbers were surely meant as milliseconds. It does not know
what waits for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from mockllm.config.keys import keys_of

MIN_SUSPICIOUS = 100  # seconds, written without a unit; nobody lets a test wait for so long
MAX_SECONDS = 1_000_000_000  # 32 years; with it, no sum or product of times leaves its type

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TEXT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?|\.[0-9]{1,18}) ?(ms|s|m|h)", re.ASCII)
_EXPECTED = "a number of seconds, or a text with a unit such as '350ms', '1.5s' or '2m'"


class Seconds(float):
    """A duration in seconds. `is_bare` is True if it was written as a number without a unit."""

    __slots__ = ("is_bare",)
    is_bare: bool

    def __new__(cls, seconds: float, *, is_bare: bool = False) -> Self:
        """Return the duration of so many seconds."""
        duration = super().__new__(cls, seconds)
        duration.is_bare = is_bare
        return duration


def _read(value: Any) -> Seconds:
    seconds = _as_seconds(value)
    if MAX_SECONDS < seconds < math.inf:
        raise PydanticCustomError("duration", f"expected {_EXPECTED}, at most {MAX_SECONDS} s")
    return seconds


def _as_seconds(value: Any) -> Seconds:
    if isinstance(value, Seconds):
        return value
    if isinstance(value, str):
        found = _TEXT.fullmatch(value)
        if found is not None:
            # a division, because 350 * 0.001 is not 0.35
            number, unit = float(found[1]), found[2]
            return Seconds(number / 1000 if unit == "ms" else number * _UNITS[unit])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not value < 0:  # NaN is left to `_read_finite`
            return Seconds(_as_float(value), is_bare=True)
        raise PydanticCustomError("duration", f"expected {_EXPECTED}, at least 0")
    raise PydanticCustomError("duration", f"expected {_EXPECTED}")


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an int of more than 308 digits
        return math.inf


def _read_finite(value: Any) -> Seconds:
    seconds = _read(value)
    if not math.isfinite(seconds):
        raise PydanticCustomError("duration", f"expected {_EXPECTED}, and a finite one")
    return seconds


if TYPE_CHECKING:  # type checkers allow what validation converts
    Duration = float | str
    AnyDuration = float | str
else:
    _TEXT_SCHEMA = {"type": "string", "pattern": f"^(?:{_TEXT.pattern})$"}
    _NUMBER_SCHEMA = {"type": "number", "minimum": 0, "maximum": MAX_SECONDS}
    _SCHEMA = {"anyOf": [_NUMBER_SCHEMA, _TEXT_SCHEMA]}
    Duration = Annotated[Any, PlainValidator(_read_finite), WithJsonSchema(_SCHEMA)]
    AnyDuration = Annotated[Any, PlainValidator(_read), WithJsonSchema(_SCHEMA)]
    """May be infinite, or not a number."""


def find_suspicious(value: Any) -> Iterator[tuple[list[int | str], str]]:
    """Yield the path of each duration in an object of the configuration that was surely meant as
    milliseconds, with what to write instead."""
    todo: list[tuple[list[int | str], Any]] = [([], value)]
    while todo:
        path, found = todo.pop()
        match found:
            case Seconds():
                if found.is_bare and MIN_SUSPICIOUS <= found < math.inf:
                    yield path, describe_suspicious(found)
            case BaseModel():
                model = type(found)
                keys = zip(keys_of(model), model.model_fields, strict=True)
                todo += [([*path, key], getattr(found, name)) for key, name in keys]
            case list():
                todo += [([*path, index], entry) for index, entry in enumerate(found)]


def is_duration(text: str) -> bool:
    """True if a text is a duration with a unit."""
    return _TEXT.fullmatch(text) is not None


def describe_suspicious(seconds: float) -> str:
    """Describe a number of seconds that was surely meant as milliseconds."""
    return f'{spell(seconds)} seconds: {remedy(seconds)}, else "{spell(seconds)}s"'


def remedy(seconds: float) -> str:
    """Return how to write a number that may be meant as milliseconds."""
    return f'write "{spell(seconds)}ms" if milliseconds are meant'


def spell(seconds: float) -> str:
    """Return a number of seconds to the nanosecond, without an exponent, as texts with a unit have
    it."""
    if not math.isfinite(seconds):
        return f"{seconds:g}"
    return f"{Decimal(repr(round(float(seconds), 9))):f}".removesuffix(".0")
