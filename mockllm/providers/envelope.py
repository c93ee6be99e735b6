"""The envelopes that answers come in, whichever vendor's: headers of a reply, errors as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.errors import ClientError
from mockllm.exchange import Headers, Reply, Request
from mockllm.wire import jsontext, placeholders, sse

JSON = b"application/json"

DATE = (b"date", placeholders.DATE)

JSON_HEADERS: Headers = ((b"content-type", JSON), DATE)
STREAM_HEADERS: Headers = (
    (b"content-type", sse.CONTENT_TYPE),
    (b"cache-control", b"no-cache"),
    DATE,
)


def plain_error(error: ClientError, beside: Mapping[str, Any]) -> Reply:
    """`error` where no vendor is known: ``{"error": message, ...}``, with the members `beside`."""
    return error_reply(error, JSON_HEADERS, {"error": error.message, **beside})


def json_reply(body: Any, status: int = 200) -> Reply:
    """A JSON answer of the server itself."""
    return Reply.whole(status, JSON_HEADERS, jsontext.dumps(body))


def error_reply(error: ClientError, headers: Headers, body: Any) -> Reply:
    """The JSON `body` of an error, with the error's status and its own headers."""
    return Reply.whole(error.status, headers + error.headers, jsontext.dumps(body))


def has_bearer(request: Request) -> bool:
    """True if there is an ``Authorization: Bearer <something>`` (RFC 6750, section 2.1)."""
    scheme, _, credential = request.first_values.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and bool(credential.strip())
