"""The failures of OpenAI: status, body and headers for each word, as recorded from the service.

It knows what its APIs have in common, not where one differs: that is in its `API.failures`.
"""

from __future__ import annotations

import math

import orjson

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
from mockllm.providers.openai.durations import spell
from mockllm.providers.rate_limits import whole_milliseconds

_INVALID = "invalid_request_error"
_RATE = (
    "Rate limit reached for {model} in organization org-mockllm on requests per min (RPM): "
    "Limit 3, Used 3, Requested 1. Please try again in {wait}. Visit "
    "https://platform.openai.com/account/rate-limits to learn more."
)
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)
_FLAGGED = (
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try "
    "again with a different prompt: "
    "https://platform.openai.com/docs/guides/reasoning#advice-on-prompting"
)
_LENGTH = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in "
    "128001 tokens. Please reduce the length of the messages."
)
_OVERLOADED = "Our servers are currently overloaded. Please try again later."
_SLOW_DOWN = "Too many requests in a short time. Please slow down and try again later."

_WAIT = "{wait}"
_USUAL_WAIT = 20.0  # seconds: (3 + 1 - 3) / 3 of a minute

CASES: Cases = {
    "bad_request": Case(400, _INVALID, "The request is invalid."),
    "context_length": Case(400, _INVALID, _LENGTH, "context_length_exceeded", "messages"),
    "flagged": Case(400, _INVALID, _FLAGGED, "invalid_prompt"),
    "bad_key": Case(
        401,
        _INVALID,
        "Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
    ),
    "permission": Case(403, _INVALID, "You are not allowed to do this with your API key."),
    "not_found": Case(
        404,
        _INVALID,
        "The model `{model}` does not exist or you do not have access to it.",
        "model_not_found",
    ),
    "timeout": Case(408, "server_error", "The request timed out."),
    "conflict": Case(409, _INVALID, "The request conflicts with another one."),
    "too_large": Case(413, _INVALID, "The request is too large."),
    "unprocessable": Case(422, _INVALID, "The request could not be processed."),
    "rate_limit": Case(429, "requests", _RATE, "rate_limit_exceeded"),
    "slow_down": Case(429, "rate_limit_error", _SLOW_DOWN, "slow_down"),
    "billing": Case(429, "insufficient_quota", _QUOTA, "insufficient_quota"),
    "server_error": Case(
        500,
        "server_error",
        "The server had an error while processing your request. Sorry about that!",
    ),
    "overloaded": Case(503, "service_unavailable_error", _OVERLOADED, "server_is_overloaded"),
}
"""The failures of Chat Completions, and of the others where they do not differ. Of a status, the
first is the usual one."""

TOO_MANY_TOKENS = Case(
    400,
    _INVALID,
    "This model's maximum context length is 8192 tokens, however you requested 8193 tokens "
    "(8193 in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
)
"""The ``context_length`` of Embeddings and of legacy completions."""

_BY_ROUTER = frozenset({"not_found"})
"""Found before the model API, which has headers of its own."""
_OF_MODEL_API = frozenset({b"openai-processing-ms", b"openai-version"})
_COUNTED = frozenset({"flagged"})
"""Found so late that the request was counted. Only such answers have the headers of limits."""

_CHALLENGE = b'Bearer realm="OpenAI API"'  # as in recorded answers
ERROR_HEADERS: Headers = (
    (b"openai-project", b"proj_mockllm"),
    (b"vary", b"Origin"),
    (b"x-content-type-options", b"nosniff"),
)
"""Those that errors have beside the headers of answers, as recorded."""


def render_failure(failure: Failure, own: Cases, model: str, headers: Headers) -> Reply:
    """Return `failure` as a request for `model` gets it. `own` are the cases in which its API
    differs, `headers` those of the vendor's answers."""
    word = word_of(failure, CASES)
    case = own.get(word) or CASES.get(word)
    if case is None or (not failure.word and case.status != failure.status):
        kind = "server_error" if failure.status >= 500 else _INVALID
        word, case = "", other_case(failure.status, kind)
    if word not in _COUNTED:
        headers = tuple(each for each in headers if not each[0].startswith(b"x-ratelimit-"))
    retry = retry_headers(failure.retry_after, in_milliseconds=True)
    written = written_reply(failure, headers)
    if written is not None:
        return finish(written, failure, retry, _CHALLENGE)
    if word in _BY_ROUTER and case.status == 404:
        headers = tuple(each for each in headers if each[0] not in _OF_MODEL_API)
        headers = ((b"content-type", b"application/json; charset=utf-8"), *headers[1:])
    usual = case.message.replace(_WAIT, _spell(failure.retry_after))
    message = message_of(failure, usual, model)
    inner = {"message": message, "type": case.kind, "param": case.param, "code": case.code}
    body = orjson.dumps({"error": inner}, option=orjson.OPT_INDENT_2)
    reply = Reply.whole(case.status, headers, body)
    return finish(reply, failure, (*ERROR_HEADERS, *retry), _CHALLENGE)


def _spell(seconds: float | None) -> str:
    """Spell a wait as the service does."""
    if seconds is None or not math.isfinite(seconds):
        seconds = _USUAL_WAIT
    return spell(whole_milliseconds(seconds, up=True))
