"""The failures of Anthropic: status, body and headers for each word, as recorded from the service.

It knows those of all its APIs; none of them differs.
"""

from __future__ import annotations

from typing import Any

from mockllm.exchange import Headers, Reply
from mockllm.providers.failures import (
    Case,
    Cases,
    Failure,
    finish,
    message_of,
    other_case,
    retry_headers,
    word_of,
    written_reply,
)
from mockllm.replies.headers import set_headers
from mockllm.wire import jsontext, placeholders

_INVALID = "invalid_request_error"
_RATE = (
    "This request would exceed the rate limit for your organization "
    "(00000000-0000-4000-8000-000000000000) of 30,000 input tokens per minute. For details, refer "
    "to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. "
    "You may also contact sales at https://www.anthropic.com/contact-sales to discuss your options "
    "for a rate limit increase."
)
_SLOW_DOWN = (
    "This request would exceed your organization's acceleration limit. Please increase your usage "
    "gradually, or try again later."
)
_BILLING = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
    "upgrade or purchase credits."
)

CASES: Cases = {
    "bad_request": Case(400, _INVALID, "The request is invalid."),
    "context_length": Case(400, _INVALID, "prompt is too long: 205668 tokens > 200000 maximum"),
    "bad_key": Case(401, "authentication_error", "invalid x-api-key"),
    "billing": Case(402, "billing_error", _BILLING),
    "permission": Case(
        403, "permission_error", "Your API key does not have permission to use this resource."
    ),
    "not_found": Case(404, "not_found_error", "model: {model}"),
    "timeout": Case(504, "timeout_error", "The request timed out."),
    "conflict": Case(409, "conflict_error", "The request conflicts with another one."),
    "too_large": Case(413, "request_too_large", "Request exceeds the maximum size"),
    "unprocessable": Case(422, _INVALID, "The request could not be processed."),
    "rate_limit": Case(429, "rate_limit_error", _RATE),
    "slow_down": Case(429, "rate_limit_error", _SLOW_DOWN),
    "server_error": Case(500, "api_error", "Internal server error"),
    "overloaded": Case(529, "overloaded_error", "Overloaded"),
}
"""There is none for a flagged prompt: the model answers with the ``stop_reason`` ``refusal``."""

_OF_EDGE = frozenset({"too_large"})
"""Reported in front of the API. Their bodies have neither a type nor the id of the request."""
_LIMITED = frozenset({"rate_limit", "slow_down"})
_USUAL_WAIT = 1.0  # seconds; the service always says one, and a test should not wait for longer

_LIMITS_REACHED: Headers = (
    (b"anthropic-ratelimit-requests-limit", b"50"),
    (b"anthropic-ratelimit-requests-remaining", b"49"),
    (b"anthropic-ratelimit-tokens-limit", b"38000"),
    (b"anthropic-ratelimit-tokens-remaining", b"8000"),
    (b"anthropic-ratelimit-input-tokens-limit", b"30000"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
    (b"anthropic-ratelimit-output-tokens-limit", b"8000"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"8000"),
)
"""Those of the first tier. Its input tokens are used up, as the message of ``rate_limit`` says."""
TIMING = (b"server-timing", b"x-originResponse;dur=" + placeholders.ELAPSED_MS)
_CHALLENGE = b"Bearer"


def render_failure(
    failure: Failure, own: Cases, model: str, headers: Headers, request_id: Any
) -> Reply:
    """Return `failure` as a request for `model` gets it. `own` are the cases in which its API
    differs, `headers` those of the vendor's answers, `request_id` the id in the body."""
    word = word_of(failure, CASES)
    case = own.get(word) or CASES.get(word)
    if case is None:
        kind = "api_error" if failure.status >= 500 else _INVALID
        case = other_case(failure.status, kind)
    if case.status != 429:
        headers = tuple(each for each in headers if b"-ratelimit-" not in each[0])
    extra = _extra(failure, word)
    written = written_reply(failure, headers)
    if written is not None:
        return finish(written, failure, extra, _CHALLENGE)
    message = message_of(failure, case.message, model)
    body: dict[str, Any] = {"error": {"type": case.kind, "message": message}}
    if word not in _OF_EDGE:
        body = {"type": "error", **body, "request_id": request_id}
        extra = (*extra, TIMING)
    reply = Reply.whole(case.status, headers, jsontext.dumps(body))
    if word == "rate_limit":
        reply = set_headers(reply, _LIMITS_REACHED)
    return finish(reply, failure, extra, _CHALLENGE)


def _extra(failure: Failure, word: str) -> Headers:
    """Return the headers about retries. A body that the author wrote has those he asks for."""
    is_limited = word in _LIMITED and failure.body is None
    seconds = failure.retry_after
    if seconds is None and is_limited:
        seconds = _USUAL_WAIT
    retry = retry_headers(seconds, in_milliseconds=False)
    return (*retry, (b"x-should-retry", b"true")) if is_limited else retry
