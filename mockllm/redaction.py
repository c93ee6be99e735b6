"""Keeps secrets out of logs and messages, judging by the names of headers and parameters."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"key|token|secret|passw|pwd|auth|cred|sig|session|code|jwt|cookie", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """True if a header or parameter of this name may contain a credential."""
    return _SECRET.search(name) is not None


MAX_PATH = 1_000  # characters of a path and its query
HIDDEN = "***"


_SHOWN = re.compile(
    r"(?:after|api-version|before|beta|limit|order|starting_after|stream)=[A-Za-z0-9_.-]{0,80}"
)


def shown(path: str, query: str) -> str:
    """Format a path and query for a log: one printable line without secrets."""
    target = f"{path}?{'&'.join(map(_shown, query.split('&')))}" if query else path
    return printable(target, MAX_PATH) or "-"


def printable(text: str, longest: int) -> str:
    """`text` as one word of a log line: cut at `longest` characters, a question mark for each blank
    and for what cannot be printed."""
    if len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable() and " " not in text:
        return text
    return "".join(char if char.isprintable() and char != " " else "?" for char in text)


def _shown(parameter: str) -> str:
    return parameter if _SHOWN.fullmatch(parameter) else HIDDEN
