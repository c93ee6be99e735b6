"""Keeps secrets out of logs and messages: by the names of headers and parameters, and by the form
of the segments of a path."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

_SECRET = re.compile(
    r"key|token|secret|passw|pwd|auth|cred|sig|session|code|jwt|cookie", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """True if a header or parameter of this name may contain a credential."""
    return _SECRET.search(name) is not None


MAX_PATH = 1_000  # characters of a path and its query
HIDDEN = "***"
MAX_ENCODINGS = 3  # times that a segment may be percent-encoded
MIN_RANDOM = 16  # letters and digits in one run; the longest in a model's name is a date of 8
MAX_SEGMENTS = 1_000  # of a path, examined one by one; the rest is examined as one

_CREDENTIAL = re.compile(
    r"(?:^|[^A-Za-z0-9])"
    r"(?:(?:sk|pk|rk|xai|pplx|r8|nvapi|gsk|hf|gh[opsu]|github_pat|xox[a-z]|glpat)[-_]"
    r"|AIza|AKIA|ASIA|ya29\.|eyJ|(?:Bearer|Basic)\s)",
    re.IGNORECASE,
)
"""The beginnings of the credentials of well-known services."""
_NAMED = re.compile(r"(?:key|token|secret|passw\w*|pwd|auth\w*|cred\w*|sig|jwt)[=:]", re.IGNORECASE)
_NAME = re.compile(
    r"(?:(?:api|access|auth)[-_]?)?(?:keys?|tokens?|secrets?|passwords?|bearer|basic|credentials?)",
    re.IGNORECASE,
)
"""Names of credentials; the segment after one is hidden."""
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
_ID_PREFIXES = frozenset(
    {"batch", "chatcmpl", "conv", "file", "msg", "msgbatch", "req", "resp", "vs"}
)
"""The beginnings of ids that the services generate, which are long and random."""


_HARMLESS = re.compile(
    r"(?:after|api-version|before|beta|limit|order|starting_after|stream)=[A-Za-z0-9_.-]{0,80}"
)


def redact_target(path: str, query: str) -> str:
    """Format a path and query for a log: one printable line without secrets."""
    target = redact_path(path)
    if query:
        target = f"{target}?{'&'.join(map(_redact_parameter, query.split('&')))}"
    return printable(target, MAX_PATH) or "-"


def redact_path(path: str) -> str:
    """Return `path` with each segment hidden that may be a credential, as sent or percent-encoded:
    ``/v1/sk-abc/chat`` becomes ``/v1/***/chat``."""
    return _redact_known(path) if len(path) <= MAX_PATH else _redact_segments(path)


def _redact_segments(path: str) -> str:
    segments = path.split("/", MAX_SEGMENTS)
    hidden = [
        HIDDEN if _may_be_secret(segment) or (segment and _NAME.fullmatch(before)) else segment
        for before, segment in zip(["", *segments], segments, strict=False)
    ]
    return "/".join(hidden)


@lru_cache(maxsize=1_000)  # 0.2 us a log line; examining a path takes 10 or more
def _redact_known(path: str) -> str:
    return _redact_segments(path)


def _may_be_secret(segment: str) -> bool:
    for _ in range(MAX_ENCODINGS):
        if "%" not in segment:
            break
        segment = unquote(segment)
    if _CREDENTIAL.search(segment) or _NAMED.search(segment):
        return True
    pieces = _SEPARATOR.split(segment)
    known = len(pieces) == 2 and pieces[0] in _ID_PREFIXES
    return not known and any(map(_looks_random, pieces))


def redact_name(name: str) -> str:
    """Return a name that the user has chosen, hidden if it begins as a credential does. Unlike a
    segment of a path, it may look random."""
    return HIDDEN if _CREDENTIAL.search(name) or _NAMED.search(name) else name


def _looks_random(piece: str) -> bool:
    if len(piece) < MIN_RANDOM or piece.isdecimal() or piece.isalpha():
        return False
    return piece.isalnum()


MAX_TEXT = 500  # characters of a text in a log
_WORD = re.compile(r"[^\s'\"`,;()<>{}\[\]]+")
_SCHEMES = ("bearer", "basic")


def redact_text(text: str) -> str:
    """Format a text for a log: one line of at most `MAX_TEXT` characters, with each word hidden
    that may be a credential."""
    before = ""

    def hide(found: re.Match[str]) -> str:
        nonlocal before
        word, previous, before = found[0], before, found[0]
        named = previous.lower() in _SCHEMES or (
            previous.endswith((":", "=")) and _NAME.fullmatch(previous[:-1])
        )
        return HIDDEN if named or _may_be_secret(word) else word

    text = _WORD.sub(hide, text[:MAX_TEXT]) + ("…" if len(text) > MAX_TEXT else "")
    return escape(text)


def escape(text: str) -> str:
    """Return `text` with escapes (``\\n``) for unprintable characters: one line of a log."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


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
