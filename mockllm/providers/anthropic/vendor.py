"""Anthropic as a vendor: credentials, headers, and errors in its envelope
``{"type": "error", "error": {"type", "message"}, "request_id"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.anthropic.failures import TIMING, render_failure
from mockllm.providers.anthropic.rate_limits import LIMITS
from mockllm.providers.envelope import (
    JSON_HEADERS,
    STREAM_HEADERS,
    error_headers,
    error_reply,
    has_bearer,
)
from mockllm.providers.failures import Cases, Failure
from mockllm.providers.vendor import Vendor
from mockllm.wire import placeholders

SDK_VERSION = "2.12.0"
"""The version of `anthropic` that the API was written for. Newer ones are held to their own types;
older ones are forgiven what they do not declare."""

_REQUEST_ID = b"req_011C" + placeholders.UNIQUE_ID
_REQUEST_ID_JSON = orjson.Fragment(b'"' + _REQUEST_ID + b'"')

_HEADERS: Headers = (
    (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
    *LIMITS.unlimited,
    (b"request-id", _REQUEST_ID),
)
"""The headers that clients read."""

_ERROR_TYPES = {
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
}
"""The type for each status (anthropic 2.12.0: `types.shared.ErrorType`)."""


_OTHERS = tuple(
    f"/v1/{name}/"
    for name in ("chat", "completions", "responses", "embeddings", "moderations", "conversations")
)
"""Paths that Anthropic does not have and another vendor has."""


def _owns(request: Request) -> bool:
    """Some paths exist in both APIs. There a request is Anthropic's if it has the header
    ``anthropic-version``, which only Anthropic requires. A gateway that adds it to every request
    does not make one of the `_OTHERS` Anthropic's."""
    path = f"{request.path}/"
    if path.startswith("/v1/messages/"):
        return True
    if not path.startswith("/v1/") or path.startswith(_OTHERS):
        return False
    return b"anthropic-version" in request.first_values


def _authenticate(request: Request, require_auth: bool) -> None:
    """Anthropic requires ``x-api-key`` (older SDKs, curl) or ``Authorization: Bearer`` (anthropic
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


def _render_error(error: ClientError, extra: Mapping[str, Any]) -> Reply:
    """`error` in Anthropic's envelope, with the `extra` members at the top level."""
    kind = _ERROR_TYPES.get(error.status)
    if kind is None:
        kind = "api_error" if error.status >= 500 else "invalid_request_error"
    body = {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": _REQUEST_ID_JSON,
        **extra,
    }
    headers = (*error_headers(error, ANTHROPIC.headers), TIMING)
    return error_reply(error, headers, body)


def _render_failure(failure: Failure, own: Cases, model: str) -> Reply:
    return render_failure(failure, own, model, ANTHROPIC.headers, _REQUEST_ID_JSON)


ANTHROPIC = Vendor(
    name="Anthropic",
    base_path="",
    owns=_owns,
    authenticate=_authenticate,
    credential_headers=lambda request: (b"x-api-key", b"authorization"),
    headers=JSON_HEADERS + _HEADERS,
    stream_headers=STREAM_HEADERS + _HEADERS,
    render_error=_render_error,
    render_failure=_render_failure,
    limits=LIMITS,
)
