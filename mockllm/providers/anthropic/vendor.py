"""Anthropic as a vendor: credentials, headers, and errors as it writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.envelope import JSON_HEADERS, STREAM_HEADERS, error_reply, has_bearer
from mockllm.wire import placeholders

_ANTHROPIC_ID = (b"request-id", b"req_011C" + placeholders.UNIQUE_ID)
_ANTHROPIC_REQUEST_ID = orjson.Fragment(b'"' + _ANTHROPIC_ID[1] + b'"')


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


def anthropic_headers(*, stream: bool = False) -> Headers:
    """The headers of an Anthropic answer that clients read. Always the same: nothing is limited."""
    return (STREAM_HEADERS if stream else JSON_HEADERS) + _ANTHROPIC


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
    return error_reply(error, anthropic_headers(), body)


def authenticate_anthropic(request: Request, require_auth: bool) -> None:
    """Anthropic wants ``x-api-key`` (older SDKs, curl) or ``Authorization: Bearer`` (anthropic
    2.12.0), and ``anthropic-version`` whatever its value.

    Raises:
        RequestError: 401 or 400.
    """
    if require_auth and not (request.first_values.get(b"x-api-key") or has_bearer(request)):
        raise RequestError(
            401,
            "x-api-key header is required (or Authorization: Bearer). Any key will do here.",
        )
    if not request.first_values.get(b"anthropic-version"):
        raise RequestError(400, "anthropic-version: header is required")
