"""Builds replies of all vendors: answers whole or streamed, errors, and their common headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Frames, Headers, Reply, Request
from mockllm.providers.vendor import Vendor
from mockllm.wire import json_encoding, jsontext, placeholders, sse

JSON = b"application/json"

DATE = (b"date", placeholders.DATE)

_COUNTED = frozenset({"mock_not_found", "mock_exhausted"})
"""The codes of requests that were counted, but not answered."""

JSON_HEADERS: Headers = ((b"content-type", JSON), DATE)
STREAM_HEADERS: Headers = (
    (b"content-type", sse.CONTENT_TYPE),
    (b"cache-control", b"no-cache"),
    DATE,
)


def plain_error(error: ClientError, extra: Mapping[str, Any]) -> Reply:
    """`error` outside of every vendor's paths: ``{"error": message, ...}``, with `extra`
    members."""
    return error_reply(error, JSON_HEADERS, {"error": error.message, **extra})


def answer_reply(
    vendor: Vendor,
    response: Mapping[str, Any],
    frames: Callable[[], Frames],
    *,
    stream: bool,
) -> Reply:
    """An answer with the headers of its vendor: the complete `response` as JSON, or with `stream`
    the `frames`."""
    if stream:
        reply = Reply.lazy_stream(200, vendor.stream_headers, frames)
    else:
        reply = body_reply(vendor.headers, response)
    reply.response = response  # nobody has the reply yet
    return reply


def body_reply(headers: Headers, body: Any) -> Reply:
    """An answer with a JSON `body`, in pieces if that has a large text."""
    if json_encoding.takes_long(body):
        return Reply.divided(200, headers, json_encoding.dumps_in_pieces(body))
    return Reply.whole(200, headers, jsontext.dumps(body))


def json_reply(body: Any, status: int = 200) -> Reply:
    """A JSON answer of the server itself, in no vendor's format."""
    return Reply.whole(status, JSON_HEADERS, jsontext.dumps(body))


def error_headers(error: ClientError, headers: Headers) -> Headers:
    """Return those of the `headers` of a vendor's answers that `error` has. Those about limits are
    only in answers to requests that were counted: not in refusals of credentials, of invalid
    requests and of unknown paths."""
    is_counted = error.status >= 500 or (isinstance(error, RequestError) and error.code in _COUNTED)
    return headers if is_counted else without_limits(headers)


@lru_cache(maxsize=16)
def without_limits(headers: Headers) -> Headers:
    """Return `headers` without those about limits."""
    return tuple(each for each in headers if b"ratelimit-" not in each[0])


def error_reply(
    error: ClientError, headers: Headers, body: Any, *, challenge: bytes = b"Bearer"
) -> Reply:
    """The JSON `body` of an error, with the error's status and its own headers. A 401 has a
    WWW-Authenticate with the `challenge`, without which some HTTP clients reject it (RFC 9110,
    section 11.6.1)."""
    if error.status == 401:
        headers += ((b"www-authenticate", challenge),)
    return Reply.whole(error.status, headers + error.headers, jsontext.dumps(body))


def has_bearer(request: Request) -> bool:
    """True if there is an ``Authorization: Bearer <something>`` (RFC 6750, section 2.1)."""
    scheme, _, credential = request.first_values.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and bool(credential.strip())
