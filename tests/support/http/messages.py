"""Requests in bytes, well-formed or not, and the mocks of the server that they are sent to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

KIB = 1024
MIB = 1024 * KIB

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
KEY = "Authorization: Bearer any"
LARGE_TEXT = "large "  # the start of what `configuration` answers with a long text

Json = dict[str, Any]


def configuration(words: int = 1) -> Json:
    """Mocks for ``Hello``, for ``tenant`` with a header, for an old ``folded`` header, and for
    ``large`` a text of so many words."""

    def mock(text: str, says: str, *headers: Json) -> Json:
        match = {"message": {"role": "user", "content": text}, "headers": list(headers)}
        return {"match": match, "response": {"choices": [{"message": {"content": says}}]}}

    return {
        "openai": [
            mock("Hello", "Hello there"),
            mock("tenant", "Hello, tenant", {"name": "x-tenant", "value": "a"}),
            mock("folded", "unfolded", {"name": "x-folded", "value": "a b"}),
            mock("large", LARGE_TEXT * words),
        ]
    }


def message(line: str, *fields: str, body: bytes = b"") -> bytes:
    """A request from its first line, its header lines and its body, as they are."""
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + body


def get(*fields: str, target: str = "/health", method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    return message(f"{method} {target} HTTP/{version}", "Host: h", *fields)


def asking(text: str = "Hello", **members: Any) -> bytes:
    """The body of a chat request in which a user says `text`."""
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **members})


HELLO = asking()


def post(*fields: str, body: bytes = HELLO, target: str = CHAT, version: str = "1.1") -> bytes:
    """A request with a body of a known length."""
    line = f"POST {target} HTTP/{version}"
    return message(line, "Host: h", KEY, *fields, f"Content-Length: {len(body)}", body=body)


def framed(*fields: str, body: bytes = HELLO, version: str = "1.1") -> bytes:
    """A request whose `fields` determine the end of its body."""
    return message(f"POST {CHAT} HTTP/{version}", "Host: h", KEY, *fields, body=body)


def chunked(*body: bytes, fields: Iterable[str] = (), key: str = KEY) -> bytes:
    """A request with a chunked body, written by hand."""
    line = f"POST {CHAT} HTTP/1.1"
    head = message(line, "Host: h", key, *fields, "Transfer-Encoding: chunked")
    return head + b"".join(body)


def chunks(data: bytes, size: int = 16, extension: bytes = b"") -> bytes:
    """`data` as chunks of `size`, without the last one."""
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)


END = b"0\r\n\r\n"
HIDDEN = get("X-Hidden: 1")  # must not be answered where framing is in doubt
BODY = chunks(HELLO)
