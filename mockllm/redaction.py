"""Keeps secrets out of logs and messages, by the names of headers and parameters."""

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


_HARMLESS = re.compile(
    r"(?:after|api-version|before|beta|limit|order|starting_after|stream)=[A-Za-z0-9_.-]{0,80}"
)


def redact_target(path: str, query: str) -> str:
    """Format a path and query for a log: one printable line without secrets."""
    target = f"{path}?{'&'.join(map(_redact_parameter, query.split('&')))}" if query else path
    return printable(target, MAX_PATH) or "-"


def printable(text: str, longest: int) -> str:
    """Format `text` as one word of a log line: cut at `longest` characters, with a question mark
    for each space and each unprintable character."""
    if len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable() and " " not in text:
        return text
    return "".join(char if char.isprintable() and char != " " else "?" for char in text)


def _redact_parameter(parameter: str) -> str:
    return parameter if _HARMLESS.fullmatch(parameter) else HIDDEN
