"""OpenAI as a vendor: credentials, headers, and errors in its envelope
``{"error": {"message", "type", "param", "code"}}``, the only form whose message its SDK shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.envelope import (
    JSON_HEADERS,
    STREAM_HEADERS,
    error_headers,
    error_reply,
    has_bearer,
)
from mockllm.providers.failures import Cases, Failure
from mockllm.providers.openai.failures import ERROR_HEADERS, render_failure
from mockllm.providers.openai.rate_limits import LIMITS
from mockllm.providers.vendor import Vendor
from mockllm.wire import placeholders

SDK_VERSION = "3.54.0"
"""The version of `openai` that the APIs were written for. Newer ones are held to their own types;
older ones are forgiven what they do not declare."""

_REQUEST_ID = b"req_" + placeholders.UNIQUE_ID + b"0a1c7e5d93b2"  # req_ and 32 hex digits

_HEADERS: Headers = (
    (b"openai-organization", b"mockllm"),
    (b"openai-processing-ms", placeholders.ELAPSED_MS),
    (b"openai-version", b"2020-10-01"),
    *LIMITS.unlimited,
    (b"x-request-id", _REQUEST_ID),
)
"""The headers that clients read."""

_AZURE = "/openai/"
_CHALLENGE = b'Bearer realm="OpenAI API"'  # as in recorded answers

_ERROR_TYPES = {401: "invalid_request_error", 429: "requests"}


def _owns(request: Request) -> bool:
    return f"{request.path}/".startswith(("/v1/", _AZURE))


def _authenticate(request: Request, require_auth: bool) -> None:
    """OpenAI requires ``Authorization: Bearer <anything>``, Azure ``api-key: <anything>``; either
    is accepted from both.

    Raises:
        RequestError: 401.
    """
    if require_auth and not (has_bearer(request) or request.first_values.get(b"api-key")):
        raise RequestError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any key will do here.",
        )


def _credential_headers(request: Request) -> tuple[bytes, ...]:
    """Azure's clients send a key in a header of its own (openai 3.57.0: `AzureOpenAI`)."""
    if request.path.startswith(_AZURE):
        return (b"api-key", b"authorization")
    return (b"authorization", b"api-key")


def _render_error(error: ClientError, extra: Mapping[str, Any]) -> Reply:
    """`error` in OpenAI's envelope, with the `extra` members at the top level."""
    kind = _ERROR_TYPES.get(error.status)
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    param, code = (error.param, error.code) if isinstance(error, RequestError) else (None, None)
    inner = {"message": error.message, "type": kind, "param": param, "code": code}
    headers = error_headers(error, OPENAI.headers) + ERROR_HEADERS
    return error_reply(error, headers, {"error": inner, **extra}, challenge=_CHALLENGE)


def _render_failure(failure: Failure, own: Cases, model: str) -> Reply:
    return render_failure(failure, own, model, OPENAI.headers)


OPENAI = Vendor(
    name="OpenAI",
    base_path="/v1",
    owns=_owns,
    authenticate=_authenticate,
    credential_headers=_credential_headers,
    headers=JSON_HEADERS + _HEADERS,
    stream_headers=STREAM_HEADERS + _HEADERS,
    render_error=_render_error,
    render_failure=_render_failure,
    limits=LIMITS,
)
