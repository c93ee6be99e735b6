"""The envelopes that answers come in: headers of a reply, and errors as each vendor writes them.

OpenAI: ``{"error": {"message", "type", "param", "code"}}``; an SDK shows a message only in this
form. Anthropic: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply
from mockllm.wire import jsontext, placeholders, sse

JSON = b"application/json"

DATE = (b"date", placeholders.DATE)
_OPENAI_ID = (
    b"x-request-id",
    b"req_" + placeholders.TOKEN + b"0a1c7e5d93b2",
)  # req_ and 32 hex digits
_ANTHROPIC_ID = (b"request-id", b"req_011C" + placeholders.TOKEN)
_ANTHROPIC_REQUEST_ID = orjson.Fragment(b'"' + _ANTHROPIC_ID[1] + b'"')

_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),  # or a page could not read the request's id
)
_JSON = ((b"content-type", JSON), DATE, *_CORS)
_STREAM = ((b"content-type", sse.CONTENT_TYPE), (b"cache-control", b"no-cache"), DATE, *_CORS)

_OPENAI = (
    (b"openai-organization", b"mockllm"),
    (b"openai-processing-ms", placeholders.TOOK),
    (b"openai-version", b"2020-10-01"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-limit-tokens", b"30000000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"29999000"),
    (b"x-ratelimit-reset-requests", b"6ms"),
    (b"x-ratelimit-reset-tokens", b"2ms"),
    _OPENAI_ID,
)
_RESET = b"2026-01-01T00:00:00Z"  # long ago: nobody needs to wait
_ANTHROPIC = (
    (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
    (b"anthropic-ratelimit-requests-limit", b"4000"),
    (b"anthropic-ratelimit-requests-remaining", b"3999"),
    (b"anthropic-ratelimit-requests-reset", _RESET),
    (b"anthropic-ratelimit-tokens-limit", b"4800000"),
    (b"anthropic-ratelimit-tokens-remaining", b"4799000"),
    (b"anthropic-ratelimit-tokens-reset", _RESET),
    (b"anthropic-ratelimit-input-tokens-limit", b"4000000"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"3999000"),
    (b"anthropic-ratelimit-input-tokens-reset", _RESET),
    (b"anthropic-ratelimit-output-tokens-limit", b"800000"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"800000"),
    (b"anthropic-ratelimit-output-tokens-reset", _RESET),
    _ANTHROPIC_ID,
)

_OPENAI_TYPES = {401: "invalid_request_error", 429: "requests"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}  # anthropic.types.shared.ErrorType, 2.12.0, and the status each stands for


def openai_headers(*, stream: bool = False) -> Headers:
    """The headers of an OpenAI answer that clients read. Always the same: nothing is limited."""
    return (_STREAM if stream else _JSON) + _OPENAI


def anthropic_headers(*, stream: bool = False) -> Headers:
    """The headers of an Anthropic answer that clients read. Always the same: nothing is limited."""
    return (_STREAM if stream else _JSON) + _ANTHROPIC


def without_cors(reply: Reply) -> Reply:
    """`reply` as a web page of another origin cannot read it."""
    kept = tuple(line for line in reply.headers if not line[0].startswith(b"access-control-"))
    return replace(reply, headers=kept)


def openai_error(error: ClientError, beside: Mapping[str, Any] | None = None) -> Reply:
    """`error` as OpenAI writes it; `beside` is added at the top level."""
    kind = _OPENAI_TYPES.get(error.status)
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    param, code = (error.param, error.code) if isinstance(error, RequestError) else (None, None)
    inner = {"message": error.message, "type": kind, "param": param, "code": code}
    return _error(error, openai_headers(), {"error": inner, **(beside or {})})


def anthropic_error(error: ClientError, beside: Mapping[str, Any] | None = None) -> Reply:
    """`error` as Anthropic writes it; `beside` is added at the top level."""
    kind = _ANTHROPIC_TYPES.get(error.status)
    if kind is None:
        kind = "api_error" if error.status >= 500 else "invalid_request_error"
    body = {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": _ANTHROPIC_REQUEST_ID,
        **(beside or {}),
    }
    return _error(error, anthropic_headers(), body)


def plain_error(error: ClientError, beside: Mapping[str, Any] | None = None) -> Reply:
    """`error` where no provider is known: ``{"error": message, ...}``, as the seed writes it."""
    return _error(error, _JSON, {"error": error.message, **(beside or {})})


def json_reply(body: Any, status: int = 200) -> Reply:
    """A JSON answer of the server itself."""
    return placeholders.whole(status, _JSON, jsontext.dumps(body))


def _error(error: ClientError, headers: Headers, body: Any) -> Reply:
    return placeholders.whole(error.status, headers + error.headers, jsontext.dumps(body))
