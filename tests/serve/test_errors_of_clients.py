"""What the official clients make of each error that was recorded from a service: the exception, and
what it says. Words of a mock where there is one, else the body as the service sent it.

The rows are those of public recordings and issues; the clients are openai 3.54.0 and anthropic
2.12.0, sync and async, asking for whole answers and for streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import anyio.to_thread
import openai as openai_sdk
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.support.served import MODEL, embeddings_request, messages_request, responses_request

pytestmark = pytest.mark.anyio

INVALID = "invalid_request_error"
BAD = "BadRequestError"
LIMITED = "RateLimitError"
CONTEXT = "context_length_exceeded"

ALL = ("chat", "responses", "embeddings")
LIMITS_URL = "https://platform.openai.com/account/rate-limits"
FLAGGED = (
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try "
    "again with a different prompt: "
    "https://platform.openai.com/docs/guides/reasoning#advice-on-prompting"
)
QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)


def sent(
    status: int, message: str, kind: str = INVALID, code: str | None = None, param: Any = None
) -> dict[str, Any]:
    """An error whose body is written as OpenAI sends it."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return {"status": status, "body": {"error": error}}


class OpenAIRow(NamedTuple):
    """An error, the APIs that send it so, and what the client has then."""

    error: Any
    apis: tuple[str, ...]
    exception: str
    status: int
    kind: str
    code: str | None
    param: str | None
    message: str


def written(error: dict[str, Any], exception: str, *apis: str) -> OpenAIRow:
    """A row whose body is written in the mock."""
    said = error["body"]["error"]
    fields = (said["type"], said["code"], said["param"], said["message"])
    return OpenAIRow(error, apis, exception, error["status"], *fields)


def limit(amounts: str, wait: str) -> str:
    return (
        f"Rate limit reached for gpt-4o in organization org-mockllm on {amounts}. Please try again "
        f"in {wait}. Visit {LIMITS_URL} to learn more."
    )


OPENAI: dict[str, OpenAIRow] = {
    "unknown model": OpenAIRow(
        "not_found",
        ("chat", "embeddings"),
        "NotFoundError",
        404,
        INVALID,
        "model_not_found",
        None,
        f"The model `{MODEL}` does not exist or you do not have access to it.",
    ),
    "unknown model in Responses": OpenAIRow(
        "not_found",
        ("responses",),
        BAD,
        400,
        INVALID,
        "model_not_found",
        "model",
        f"The requested model '{MODEL}' does not exist.",
    ),
    "unknown member": written(
        sent(400, "Unknown parameter: 'quality'.", INVALID, "unknown_parameter", "quality"),
        BAD,
        *ALL,
    ),
    "bad value": written(
        sent(
            400,
            "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 "
            "instead.",
            INVALID,
            "decimal_below_min_value",
            "temperature",
        ),
        BAD,
        "chat",
        "responses",
    ),
    "unsupported by the model": written(
        sent(
            400,
            "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
            INVALID,
            "unsupported_value",
            "messages[0].role",
        ),
        BAD,
        "chat",
    ),
    "no code": OpenAIRow(
        {"as": "bad_request", "message": "Web search options not supported with this model."},
        ("chat", "responses"),
        BAD,
        400,
        INVALID,
        None,
        None,
        "Web search options not supported with this model.",
    ),
    "no code, with a param": written(
        sent(
            400,
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
            param="input",
        ),
        BAD,
        "responses",
    ),
    "context": OpenAIRow(
        "context_length",
        ("chat",),
        BAD,
        400,
        INVALID,
        CONTEXT,
        "messages",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in "
        "128001 tokens. Please reduce the length of the messages.",
    ),
    "context with max_tokens": OpenAIRow(
        {
            "as": "context_length",
            "message": "This model's maximum context length is 8192 tokens. However, you requested "
            "8256 tokens (64 in the messages, 8192 in the completion). Please reduce the length of "
            "the messages or completion.",
        },
        ("chat",),
        BAD,
        400,
        INVALID,
        CONTEXT,
        "messages",
        "This model's maximum context length is 8192 tokens. However, you requested 8256 tokens (64"
        " in the messages, 8192 in the completion). Please reduce the length of the messages or "
        "completion.",
    ),
    "max_tokens above the model's": written(
        sent(
            400,
            "max_tokens is too large: 8192. This model supports at most 4096 completion tokens, "
            "whereas you provided 8192.",
            param="max_tokens",
        ),
        BAD,
        "chat",
    ),
    "context of embeddings": OpenAIRow(
        "context_length",
        ("embeddings",),
        BAD,
        400,
        INVALID,
        None,
        None,
        "This model's maximum context length is 8192 tokens, however you requested 8193 tokens "
        "(8193 in your prompt; 0 for the completion). Please reduce your prompt; or completion "
        "length.",
    ),
    "context of Responses": OpenAIRow(
        "context_length",
        ("responses",),
        BAD,
        400,
        INVALID,
        CONTEXT,
        "input",
        "Your input exceeds the context window of this model. Please adjust your input and try "
        "again.",
    ),
    "flagged": OpenAIRow(
        "flagged", ("chat", "responses"), BAD, 400, INVALID, "invalid_prompt", None, FLAGGED
    ),
    "bad key": OpenAIRow(
        {
            "as": "bad_key",
            "message": "Incorrect API key provided: ''. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
        },
        ALL,
        "AuthenticationError",
        401,
        INVALID,
        "invalid_api_key",
        None,
        "Incorrect API key provided: ''. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    "rate of tokens": written(
        sent(
            429,
            limit("tokens per min (TPM): Limit 30000, Used 14567, Requested 24754", "18.642s"),
            "tokens",
            "rate_limit_exceeded",
        ),
        LIMITED,
        *ALL,
    ),
    "rate of requests": OpenAIRow(
        "rate_limit",
        ALL,
        LIMITED,
        429,
        "requests",
        "rate_limit_exceeded",
        None,
        limit("requests per min (RPM): Limit 3, Used 3, Requested 1", "20s").replace(
            "gpt-4o", MODEL
        ),
    ),
    "rate of a day": written(
        sent(
            429,
            limit("tokens per day (TPD): Limit 500000, Used 498607, Requested 1398", "864ms"),
            "tokens",
            "rate_limit_exceeded",
        ),
        LIMITED,
        "chat",
    ),
    "one request above the limit": written(
        sent(
            429,
            "Request too large for gpt-5.1 in organization org-mockllm on tokens per min (TPM): "
            "Limit 30000, Requested 162807. The input or output tokens must be reduced in order to "
            "run successfully.",
            "tokens",
            "rate_limit_exceeded",
        ),
        LIMITED,
        "chat",
    ),
    "quota": OpenAIRow(
        "billing", ALL, LIMITED, 429, "insufficient_quota", "insufficient_quota", None, QUOTA
    ),
    "quota of 2026": written(
        sent(429, QUOTA, "insufficient_quota", "credit_balance_exhausted"), LIMITED, "chat"
    ),
    "limit of an organization": written(
        sent(429, QUOTA, "insufficient_quota", "organization_spend_limit_exceeded"),
        LIMITED,
        "chat",
    ),
    "limit of a project": written(
        sent(429, QUOTA, "insufficient_quota", "project_spend_limit_exceeded"), LIMITED, "chat"
    ),
    "too fast a rise": OpenAIRow(
        {"as": "slow_down", "message": "Slow down"},
        ALL,
        LIMITED,
        429,
        "rate_limit_error",
        "slow_down",
        None,
        "Slow down",
    ),
    "overloaded": OpenAIRow(
        "overloaded",
        ALL,
        "InternalServerError",
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        None,
        "Our servers are currently overloaded. Please try again later.",
    ),
    "server": OpenAIRow(
        "server_error",
        ALL,
        "InternalServerError",
        500,
        "server_error",
        None,
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    "the filter of Azure": OpenAIRow(
        {
            "status": 400,
            "body": {
                "error": {
                    "message": "The response was filtered",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                }
            },
        },
        ("chat",),
        BAD,
        400,
        None,  # type: ignore[arg-type]  # Azure has no type
        "content_filter",
        "prompt",
        "The response was filtered",
    ),
}
for _code in ("invalid_value", "invalid_image_url", "invalid_image_format", "unsupported_file"):
    OPENAI[_code] = written(sent(400, "No.", INVALID, _code, "input"), BAD, "responses")


class AnthropicRow(NamedTuple):
    """An error, and what the client has then. `details` are those of the body, `has_id` is false
    where the body has no id of the request."""

    error: Any
    exception: str
    status: int
    kind: str
    message: str
    details: Any = None
    has_id: bool = True


def coded(status: int, kind: str, code: str) -> AnthropicRow:
    """An error with one of the finer codes, for which the client has an exception each."""
    details = {"error_code": code}
    exception = "".join(map(str.capitalize, code.split("_"))) + "Error"
    error = {"type": kind, "message": "No.", "details": details}
    body = {"type": "error", "error": error, "request_id": "req_011"}
    return AnthropicRow({"status": status, "body": body}, exception, status, kind, "No.", details)


RATE = (
    "This request would exceed the rate limit for your organization "
    "(00000000-0000-4000-8000-000000000000) of 30,000 input tokens per minute. For details, refer "
    "to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. "
    "You may also contact sales at https://www.anthropic.com/contact-sales to discuss your options "
    "for a rate limit increase."
)
CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
    "upgrade or purchase credits."
)
BOTH = (
    "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input "
    "length or `max_tokens` and try again"
)
EFFORT = "This model does not support effort level 'xhigh'. Supported levels: high, low, max."

ANTHROPIC: dict[str, AnthropicRow] = {
    "unknown model": AnthropicRow(
        "not_found", "NotFoundError", 404, "not_found_error", f"model: {MODEL}"
    ),
    "value unsupported": AnthropicRow(
        {"as": "bad_request", "message": EFFORT}, BAD, 400, INVALID, EFFORT
    ),
    "prompt too long": AnthropicRow(
        "context_length", BAD, 400, INVALID, "prompt is too long: 205668 tokens > 200000 maximum"
    ),
    "prompt and max_tokens": AnthropicRow(
        {"as": "context_length", "message": BOTH}, BAD, 400, INVALID, BOTH
    ),
    "no credit": AnthropicRow({"as": "bad_request", "message": CREDIT}, BAD, 400, INVALID, CREDIT),
    "billing": AnthropicRow("billing", "PaymentRequiredError", 402, "billing_error", CREDIT),
    "too large": AnthropicRow(
        "too_large",
        "ContentTooLargeError",
        413,
        "request_too_large",
        "Request exceeds the maximum size",
        has_id=False,
    ),
    "rate": AnthropicRow("rate_limit", LIMITED, 429, "rate_limit_error", RATE),
    "overloaded": AnthropicRow(
        "overloaded", "OverloadedError", 529, "overloaded_error", "Overloaded"
    ),
    "overloaded, as a 500": AnthropicRow(
        {
            "status": 500,
            "body": {
                "type": "error",
                "error": {"type": "api_error", "message": "Overloaded"},
                "request_id": None,
            },
        },
        "InternalServerError",
        500,
        "api_error",
        "Overloaded",
        has_id=False,
    ),
    "authentication": AnthropicRow(
        "bad_key", "AuthenticationError", 401, "authentication_error", "invalid x-api-key"
    ),
    "permission": AnthropicRow(
        {"as": "permission", "message": "No."},
        "PermissionDeniedError",
        403,
        "permission_error",
        "No.",
    ),
    "timeout": AnthropicRow(
        {"as": "timeout", "message": "No."}, "GatewayTimeoutError", 504, "timeout_error", "No."
    ),
    "conflict": AnthropicRow(
        {"as": "conflict", "message": "No."}, "ConflictError", 409, "conflict_error", "No."
    ),
    "another 4xx": AnthropicRow(
        {"status": 418, "message": "No."}, "APIStatusError", 418, INVALID, "No."
    ),
    "server": AnthropicRow(
        "server_error", "InternalServerError", 500, "api_error", "Internal server error"
    ),
}
for _status, _kind, *_codes in (
    (400, INVALID, "request_body_timeout", "image_dimensions_too_large"),
    (400, INVALID, "request_body_encoding_invalid", "request_body_encoding_unsupported"),
    (402, "billing_error", "linked_organization_spend_limit_reached"),
    (402, "billing_error", "linked_organization_billing_unavailable"),
    (413, "request_too_large", "request_body_too_large_after_decoding"),
    (429, "rate_limit_error", "enforced_spend_limit_reached", "contract_spend_limit_reached"),
    (429, "rate_limit_error", "ramp_limit_exceeded"),
    (529, "overloaded_error", "compaction_unavailable"),
):
    for _code in _codes:
        ANTHROPIC[_code] = coded(_status, _kind, _code)


def _config() -> dict[str, Any]:
    mocks: list[dict[str, Any]] = [
        {"match": {"user": name, "api": list(apis)}, "error": row.error}
        for name, row in OPENAI.items()
        if (apis := [api for api in row.apis if api != "embeddings"])
    ]
    mocks += [
        {"match": {"user": name, "api": "messages"}, "error": row.error}
        for name, row in ANTHROPIC.items()
    ]
    embeddings = [
        {"match": {"input": name}, "error": row.error}
        for name, row in OPENAI.items()
        if "embeddings" in row.apis
    ]
    return {"mocks": mocks, "openai_embeddings": embeddings}


Failed = Callable[..., Awaitable[Any]]
"""``await failed(call, **body)``: the exception of ``call(client)(**body)``."""


@pytest.fixture(scope="module", params=["sync", "async"])
async def failed(request: pytest.FixtureRequest) -> AsyncIterator[Failed]:
    options: dict[str, Any] = {"api_key": "any", "max_retries": 0}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncServer(_config()))
        urls = server.openai_base_url, server.anthropic_base_url
        if request.param == "sync":
            openai: Any = stack.enter_context(OpenAI(base_url=urls[0], **options))
            anthropic: Any = stack.enter_context(Anthropic(base_url=urls[1], **options))
        else:
            openai = await stack.enter_async_context(AsyncOpenAI(base_url=urls[0], **options))
            anthropic = await stack.enter_async_context(AsyncAnthropic(base_url=urls[1], **options))

        async def failed(api: str, **body: Any) -> Any:
            create = {
                "chat": openai.chat.completions.create,
                "responses": openai.responses.create,
                "embeddings": openai.embeddings.create,
                "messages": anthropic.messages.create,
            }[api]
            sdk: Any = anthropic_sdk if api == "messages" else openai_sdk
            call = partial(anyio.to_thread.run_sync, partial(create, **body))
            with pytest.raises(sdk.APIStatusError) as caught:
                await (call() if request.param == "sync" else create(**body))
            return caught.value

        yield failed


@pytest.mark.parametrize("name", OPENAI)
async def test_the_clients_of_openai_read_an_error(failed: Failed, name: str) -> None:
    row = OPENAI[name]
    for api in row.apis:
        for stream in (False, True) if api != "embeddings" else (False,):
            if api == "chat":
                body = {"messages": [{"role": "user", "content": name}], "model": MODEL}
            else:
                body = {"responses": responses_request, "embeddings": embeddings_request}[api](name)
            error = await failed(api, **body, **({"stream": True} if stream else {}))

            assert type(error) is getattr(openai_sdk, row.exception)
            assert error.status_code == row.status
            assert (error.type, error.code, error.param) == (row.kind, row.code, row.param)
            assert error.body["message"] == row.message
            assert row.message in str(error)
            assert error.request_id


@pytest.mark.parametrize("name", ANTHROPIC)
async def test_the_clients_of_anthropic_read_an_error(failed: Failed, name: str) -> None:
    row = ANTHROPIC[name]
    for stream in (False, True):
        error = await failed("messages", **messages_request(name), stream=stream)

        assert type(error).__name__.removeprefix("Beta") == row.exception
        assert error.status_code == row.status
        assert (error.type, error.body["error"]["message"]) == (row.kind, row.message)
        assert error.body["error"].get("details") == row.details
        assert error.error_code == (row.details or {}).get("error_code")
        assert bool(error.body.get("request_id")) is row.has_id
        assert row.message in str(error)
        assert error.request_id
