"""Failures in the form of each vendor: what the services were recorded to send."""

from __future__ import annotations

import math
from typing import Any, get_args

import orjson
import pytest

from mockllm.config.error import Word
from mockllm.exchange import Reply
from mockllm.providers.anthropic import failures as anthropic
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.failures import OF_ANY_CALL, Failure, hurry, retry_headers
from mockllm.providers.openai import failures as openai
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from tests.support.goldens import delivered

WORDS = set(get_args(Word))
INVALID = "invalid_request_error"


def render(api: API, failure: Failure, model: str = "m") -> Reply:
    return api.vendor.render_failure(failure, api.failures, model)


def said(api: API, failure: Failure, model: str = "m") -> Any:
    return orjson.loads(delivered(render(api, failure, model)))


def header(reply: Reply, name: str) -> str | None:
    found = dict(reply.headers).get(name.encode())
    return None if found is None else found.decode("latin-1")


def test_every_vendor_has_every_word() -> None:
    assert set(openai.CASES) == WORDS
    assert {*anthropic.CASES, "flagged"} == WORDS  # which Messages answers: `API.refuse`
    assert MESSAGES.refuse is not None
    assert OF_ANY_CALL <= WORDS


@pytest.mark.parametrize(
    ("api", "word", "status", "kind", "code", "param"),
    [
        (CHAT, "bad_request", 400, INVALID, None, None),
        (CHAT, "context_length", 400, INVALID, "context_length_exceeded", "messages"),
        (RESPONSES, "context_length", 400, INVALID, "context_length_exceeded", "input"),
        (EMBEDDINGS, "context_length", 400, INVALID, None, None),
        (CHAT, "flagged", 400, INVALID, "invalid_prompt", None),
        (CHAT, "bad_key", 401, INVALID, "invalid_api_key", None),
        (CHAT, "billing", 429, "insufficient_quota", "insufficient_quota", None),
        (CHAT, "permission", 403, INVALID, None, None),
        (CHAT, "not_found", 404, INVALID, "model_not_found", None),
        (RESPONSES, "not_found", 400, INVALID, "model_not_found", "model"),
        (EMBEDDINGS, "not_found", 404, INVALID, "model_not_found", None),
        (CHAT, "timeout", 408, "server_error", None, None),
        (CHAT, "conflict", 409, INVALID, None, None),
        (CHAT, "too_large", 413, INVALID, None, None),
        (CHAT, "unprocessable", 422, INVALID, None, None),
        (CHAT, "rate_limit", 429, "requests", "rate_limit_exceeded", None),
        (CHAT, "slow_down", 429, "rate_limit_error", "slow_down", None),
        (CHAT, "server_error", 500, "server_error", None, None),
        (CHAT, "overloaded", 503, "service_unavailable_error", "server_is_overloaded", None),
    ],
)
def test_openai_has_a_type_a_code_and_a_param(
    api: API, word: str, status: int, kind: str, code: str | None, param: str | None
) -> None:
    reply = render(api, Failure(word))
    error = said(api, Failure(word))["error"]

    assert reply.status == status
    assert list(error) == ["message", "type", "param", "code"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, param)
    assert reply.body.startswith(b'{\n  "error": {\n    "message": ')


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("bad_request", 400, INVALID),
        ("context_length", 400, INVALID),
        ("bad_key", 401, "authentication_error"),
        ("billing", 402, "billing_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("timeout", 504, "timeout_error"),
        ("conflict", 409, "conflict_error"),
        ("unprocessable", 422, INVALID),
        ("rate_limit", 429, "rate_limit_error"),
        ("slow_down", 429, "rate_limit_error"),
        ("server_error", 500, "api_error"),
        ("overloaded", 529, "overloaded_error"),
    ],
)
def test_anthropic_has_a_type_and_the_id_of_the_request(word: str, status: int, kind: str) -> None:
    reply, body = render(MESSAGES, Failure(word)), said(MESSAGES, Failure(word))

    assert reply.status == status
    assert list(body) == ["type", "error", "request_id"]
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"].startswith("req_011C")
    assert header(reply, "server-timing") is not None


def test_anthropics_edge_knows_neither_type_nor_id() -> None:
    assert said(MESSAGES, Failure("too_large")) == {
        "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}
    }


@pytest.mark.parametrize("api", [CHAT, RESPONSES, EMBEDDINGS, MESSAGES], ids=lambda api: api.name)
def test_the_model_is_named_whatever_it_is_called(api: API) -> None:
    model = 'a "{wait}" {model} \\ é'

    assert model in said(api, Failure("not_found"), model)["error"]["message"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "20s"), (0.644, "644ms"), (18.642, "18.642s"), (62.3, "1m2.3s"), (math.inf, "20s")],
)
def test_openai_says_when_to_try_again(seconds: float | None, shown: str) -> None:
    error = said(CHAT, Failure("rate_limit", retry_after=seconds))["error"]

    assert f"Please try again in {shown}. Visit " in error["message"]


@pytest.mark.parametrize(
    ("seconds", "whole", "exact"),
    [
        (0.001, "1", "1"),
        (0.35, "1", "350"),
        (1.5, "2", "1500"),
        (2.0, "2", None),
        (0.0, "0", None),
        (1e300, f"{10**300:d}"[:1], None),
        (math.inf, "inf", None),
    ],
)
def test_a_fraction_of_a_second_is_sent_in_milliseconds(
    seconds: float, whole: str, exact: str | None
) -> None:
    headers = dict(retry_headers(seconds, in_milliseconds=False))

    assert headers[b"retry-after"].decode().startswith(whole)
    assert headers.get(b"retry-after-ms") == (None if exact is None else exact.encode())
    assert retry_headers(None, in_milliseconds=True) == ()


def test_openai_always_says_milliseconds_too() -> None:
    reply = render(CHAT, Failure("overloaded", retry_after=2.0))

    assert (header(reply, "retry-after"), header(reply, "retry-after-ms")) == ("2", "2000")
    assert header(render(CHAT, Failure("rate_limit")), "retry-after") is None


def test_anthropic_always_says_when_a_limit_is_over() -> None:
    reply = render(MESSAGES, Failure("rate_limit"))

    assert (header(reply, "retry-after"), header(reply, "x-should-retry")) == ("1", "true")
    assert header(reply, "anthropic-ratelimit-input-tokens-remaining") == "0"
    assert header(render(MESSAGES, Failure("overloaded")), "retry-after") is None


@pytest.mark.parametrize("word", sorted(WORDS - {"flagged", "rate_limit", "slow_down"}))
def test_only_what_was_counted_has_the_headers_of_limits(word: str) -> None:
    for api in (CHAT, MESSAGES):
        names = {name for name, _ in render(api, Failure(word)).headers}
        assert not [name for name in names if b"ratelimit" in name]
    assert header(render(CHAT, Failure("flagged")), "x-ratelimit-limit-requests") is not None


def test_openais_router_answers_without_the_headers_of_the_model_api() -> None:
    reply = render(CHAT, Failure("not_found"))

    assert header(reply, "content-type") == "application/json; charset=utf-8"
    assert header(reply, "openai-processing-ms") is None
    assert header(reply, "x-request-id") is not None


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_error_of_openai_has_the_headers_of_its_service(word: str) -> None:
    reply = render(CHAT, Failure(word))

    names = [name.decode() for name, _ in reply.headers]
    assert {"openai-organization", "openai-project", "x-request-id"} <= set(names)
    assert (header(reply, "x-content-type-options"), header(reply, "vary")) == ("nosniff", "Origin")
    assert {"retry-after", "retry-after-ms", "x-should-retry"}.isdisjoint(names)
    if word != "not_found":
        assert header(reply, "content-type") == "application/json"
        assert {"openai-processing-ms", "openai-version"} <= set(names)


@pytest.mark.parametrize("word", sorted(WORDS - {"flagged"}))
def test_every_error_of_anthropic_has_the_headers_of_its_service(word: str) -> None:
    reply = render(MESSAGES, Failure(word))

    names = {name.decode() for name, _ in reply.headers}
    is_limited = word in ("rate_limit", "slow_down")
    assert header(reply, "content-type") == "application/json"
    assert "request-id" in names
    assert ("retry-after" in names, "x-should-retry" in names) == (is_limited, is_limited)
    for limit in ("requests", "tokens", "input-tokens", "output-tokens"):
        for part in ("limit", "remaining", "reset"):
            assert (f"anthropic-ratelimit-{limit}-{part}" in names) is is_limited


def test_the_cap_of_a_month_does_not_say_when_it_is_over() -> None:
    body = b'{"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}'
    reply = render(MESSAGES, Failure(status=429, body=body, content_type=b"application/json"))

    assert header(reply, "retry-after") is None
    assert header(reply, "x-should-retry") is None


@pytest.mark.parametrize(
    ("api", "status", "kind", "code"),
    [
        (CHAT, 429, "requests", "rate_limit_exceeded"),
        (CHAT, 418, INVALID, None),
        (CHAT, 599, "server_error", None),
        (RESPONSES, 404, INVALID, None),
        (MESSAGES, 529, "overloaded_error", None),
        (MESSAGES, 502, "api_error", None),
    ],
)
def test_a_status_has_the_form_of_the_word_with_it(
    api: API, status: int, kind: str, code: str | None
) -> None:
    error = said(api, Failure(status=status))["error"]

    assert render(api, Failure(status=status)).status == status
    assert (error["type"], error.get("code")) == (kind, code)


@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.name)
def test_a_page_of_a_proxy_has_no_headers_of_the_api(api: API) -> None:
    failure = Failure(status=502, body=b"<h1>", content_type=b"text/html")
    reply = render(api, failure)

    assert (reply.status, reply.body) == (502, b"<h1>")
    assert [name for name, _ in reply.headers] == [b"content-type", b"date"]
    assert header(reply, "content-type") == "text/html"


@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.name)
@pytest.mark.parametrize("status", [204, 205, 304])
def test_some_statuses_have_no_body(api: API, status: int) -> None:
    reply = render(api, Failure(status=status))

    assert (reply.status, reply.body, header(reply, "content-type")) == (status, b"", None)


@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.name)
def test_the_author_has_the_last_word_on_headers(api: API) -> None:
    headers = ((b"content-type", b"text/x"), (b"retry-after", b"7"), (b"x-a", b"1"))
    reply = render(api, Failure("rate_limit", headers=headers))

    assert [header(reply, name.decode()) for name, _ in headers] == ["text/x", "7", "1"]
    assert len({name for name, _ in reply.headers}) == len(reply.headers)


@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.name)
def test_a_401_has_a_challenge(api: API) -> None:
    assert header(render(api, Failure("bad_key")), "www-authenticate") is not None


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure("rate_limit"), "1"),
        (Failure("overloaded"), "1"),
        (Failure("conflict"), "1"),
        (Failure(status=502, body=b"<html>", content_type=b"text/html"), "1"),
        (Failure("bad_request"), None),
        (Failure(status=404), None),
        (Failure("rate_limit", retry_after=0.25), "250"),
        (Failure("rate_limit", headers=((b"retry-after-ms", b"9"),)), "9"),
        (Failure("overloaded", headers=((b"x-should-retry", b"false"),)), None),
    ],
)
def test_clients_are_hurried_where_the_author_has_not_said_when(
    api: API, failure: Failure, told: str | None
) -> None:
    assert header(hurry(render(api, failure), failure), "retry-after-ms") == told
