"""Checks the member ``session`` of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from mockllm.config.headers import HEADER_NAME
from mockllm.config.values import without_own_keys
from mockllm.wire import jsontext

_NAME = re.compile(HEADER_NAME)
_CREDENTIALS = frozenset(
    {"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"}
)
"""Headers with credentials, which a session's name in a log or message would show."""
_EXPECTED = "expected \"credential\" or an object with the one key 'header'"


def checked_session(value: Any) -> Any:
    """Return the value of ``session`` if it has one of its forms. All mistakes are found here, as
    pydantic would report one for each form."""
    if value is None or value == "credential" or isinstance(value, BaseModel):
        return value
    if not isinstance(value, Mapping):
        raise _mistake(_EXPECTED, value)
    members = without_own_keys(value)
    if set(members) != {"header"}:
        keys = ", ".join(sorted(repr(str(key)) for key in members))
        raise _mistake(_EXPECTED, members, f"one with {keys}" if keys else "an empty one")
    name = members["header"]
    if not isinstance(name, str):
        raise _mistake("header: expected a string", name)
    try:
        checked_session_header(name)
    except PydanticCustomError as exc:
        raise _mistake(f"header: {exc.message()}", name) from exc
    return value


def checked_session_header(name: str) -> str:
    """Return the name of a header, if it is valid and is not one that has credentials."""
    if _NAME.fullmatch(name) is None:
        raise PydanticCustomError("session_header", "expected the name of a header")
    if name.lower() in _CREDENTIALS:
        raise PydanticCustomError(
            "session_header",
            'expected a header without credentials; "session": "credential" makes one session '
            "of each API key",
        )
    return name


def _mistake(expected: str, found: Any, shown: str = "") -> PydanticCustomError:
    shown = shown or jsontext.describe(found)
    return PydanticCustomError(
        "session", "{expected}, found {found}", {"expected": expected, "found": shown}
    )
