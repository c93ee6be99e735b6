"""The envelopes that answers come in: headers of a reply, and errors as each vendor writes them.

OpenAI: ``{"error": {"message", "type", "param", "code"}}``; an SDK shows a message only in this
form. Anthropic: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockllm.errors import ClientError
from mockllm.exchange import Headers, Reply, Request
from mockllm.wire import jsontext, placeholders, sse

JSON = b"application/json"

DATE = (b"date", placeholders.DATE)

_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),  # or a page could not read the request's id
)
JSON_HEADERS = ((b"content-type", JSON), DATE, *_CORS)
STREAM_HEADERS = (
    (b"content-type", sse.CONTENT_TYPE),
    (b"cache-control", b"no-cache"),
    DATE,
    *_CORS,
)


def without_cors(reply: Reply) -> Reply:
    """`reply` as a web page of another origin cannot read it."""
    kept = tuple(line for line in reply.headers if not line[0].startswith(b"access-control-"))
    return replace(reply, headers=kept)


def plain_error(error: ClientError, beside: Mapping[str, Any] | None = None) -> Reply:
    """`error` where no provider is known: ``{"error": message, ...}``, as the seed writes it."""
    return error_reply(error, JSON_HEADERS, {"error": error.message, **(beside or {})})


def json_reply(body: Any, status: int = 200) -> Reply:
    """A JSON answer of the server itself."""
    return Reply.whole(status, JSON_HEADERS, jsontext.dumps(body))


def error_reply(error: ClientError, headers: Headers, body: Any) -> Reply:
    return Reply.whole(error.status, headers + error.headers, jsontext.dumps(body))


def has_bearer(request: Request) -> bool:
    """Whether there is an ``Authorization: Bearer <something>`` (RFC 6750, section 2.1)."""
    scheme, _, credential = request.first_values.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and bool(credential.strip())
