"""The envelopes that answers come in: headers of a reply, and errors as each vendor writes them.

OpenAI: ``{"error": {"message", "type", "param", "code"}}``; an SDK shows a message only in this
form. Anthropic: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockllm import jsontext, playback, sse
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Headers, Reply

JSON = b"application/json"

_DATE = (b"date", playback.DATE)
_OPENAI_ID = (b"x-request-id", b"req_" + playback.TOKEN + b"0a1c7e5d93b2")  # req_ and 32 hex digits
_ANTHROPIC_ID = (b"request-id", b"req_011C" + playback.TOKEN)
_ANTHROPIC_REQUEST_ID = orjson.Fragment(b'"' + _ANTHROPIC_ID[1] + b'"')

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
    """The headers of an OpenAI answer that clients read."""
    if stream:
        content = ((b"content-type", sse.CONTENT_TYPE), (b"cache-control", b"no-cache"))
        return (*content, _DATE, _OPENAI_ID)
    return ((b"content-type", JSON), _DATE, _OPENAI_ID)


def anthropic_headers(*, stream: bool = False) -> Headers:
    """The headers of an Anthropic answer that clients read."""
    if stream:
        content = ((b"content-type", sse.CONTENT_TYPE), (b"cache-control", b"no-cache"))
        return (*content, _DATE, _ANTHROPIC_ID)
    return ((b"content-type", JSON), _DATE, _ANTHROPIC_ID)


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
    headers = ((b"content-type", JSON), _DATE)
    return _error(error, headers, {"error": error.message, **(beside or {})})


def json_reply(body: Any, status: int = 200) -> Reply:
    """A JSON answer of the server itself."""
    return playback.whole(status, ((b"content-type", JSON), _DATE), jsontext.dumps(body))


def _error(error: ClientError, headers: Headers, body: Any) -> Reply:
    extra = error.headers if isinstance(error, RequestError) else ()
    return playback.whole(error.status, headers + extra, jsontext.dumps(body))
