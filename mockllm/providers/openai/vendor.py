"""OpenAI as a vendor: credentials, headers, and errors as it writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.envelope import JSON_HEADERS, STREAM_HEADERS, error_reply, has_bearer
from mockllm.wire import placeholders

_OPENAI_ID = (
    b"x-request-id",
    b"req_" + placeholders.UNIQUE_ID + b"0a1c7e5d93b2",
)  # req_ and 32 hex digits


_OPENAI = (
    (b"openai-organization", b"mockllm"),
    (b"openai-processing-ms", placeholders.ELAPSED_MS),
    (b"openai-version", b"2020-10-01"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-limit-tokens", b"30000000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"29999000"),
    (b"x-ratelimit-reset-requests", b"6ms"),
    (b"x-ratelimit-reset-tokens", b"2ms"),
    _OPENAI_ID,
)

_OPENAI_TYPES = {401: "invalid_request_error", 429: "requests"}


def openai_headers(*, stream: bool = False) -> Headers:
    """The headers of an OpenAI answer that clients read. Always the same: nothing is limited."""
    return (STREAM_HEADERS if stream else JSON_HEADERS) + _OPENAI


def openai_error(error: ClientError, beside: Mapping[str, Any] | None = None) -> Reply:
    """`error` as OpenAI writes it; `beside` is added at the top level."""
    kind = _OPENAI_TYPES.get(error.status)
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    param, code = (error.param, error.code) if isinstance(error, RequestError) else (None, None)
    inner = {"message": error.message, "type": kind, "param": param, "code": code}
    return error_reply(error, openai_headers(), {"error": inner, **(beside or {})})


def authenticate_openai(request: Request, require_auth: bool) -> None:
    """OpenAI wants ``Authorization: Bearer <anything>``.

    Raises:
        RequestError: 401.
    """
    if require_auth and not has_bearer(request):
        raise RequestError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any key will do here.",
        )
