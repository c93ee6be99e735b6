"""The headers that a mock sets on its answer: which are possible.

It knows what may be in an HTTP header (RFC 9110, section 5). It does not know which headers an
answer has already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator

from mockllm.config.mistakes import contradiction

HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""The names of headers, as a regular expression (RFC 9110, section 5.6.2)."""
_NAME = re.compile(HEADER_NAME)
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

OF_THE_CONNECTION = frozenset(
    {
        *("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""The headers that frame a message. A wrong one would make the whole connection unreadable."""


def _checked(headers: dict[str, str]) -> dict[str, str]:
    mistakes = "; ".join(_mistakes(headers))
    if mistakes:
        raise contradiction(mistakes)
    return headers


def _mistakes(headers: Mapping[str, str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            yield f"expected the name of a header, found {name[:60]!r}"
        if name.lower() in OF_THE_CONNECTION:
            yield f"{name!r} cannot be set: the server frames its messages itself"
        if name.lower() in seen:
            yield f"{name!r} is the same header as {seen[name.lower()]!r}"
        if _NOT_IN_VALUES.search(value):
            yield f"{name!r}: expected a value of one line without control characters"
        elif value != value.strip(" \t"):
            yield f"{name!r}: expected a value without white space around it"
        seen[name.lower()] = name


AnswerHeaders = Annotated[dict[str, str], AfterValidator(_checked)]
"""The values of headers by their names, which may be in any case."""
