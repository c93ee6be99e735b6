"""Anthropic as a vendor: whose requests, which credentials, what errors."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import ClientError, HTTPError, RequestError
from mockllm.exchange import Headers, Request
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.wire import placeholders
from tests.support.goldens import FRESH

VERSION = (b"anthropic-version", b"2023-06-01")
BEARER = (b"authorization", b"Bearer any")
API_KEY = (b"x-api-key", b"any")


def request(*headers: tuple[bytes, bytes], path: str = "/v1/messages") -> Request:
    return Request.of("POST", path, headers)


def rendered(error: ClientError, **extra: Any) -> Any:
    """The body of an error as a client gets it, without the request id."""
    body = placeholders.fill_fresh(ANTHROPIC.render_error(error, extra).body, FRESH)
    members = orjson.loads(body)
    assert members.pop("request_id") == "req_011C0123456789abcdef0123"
    return members


# --- Ownership -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages/", "/v1/messages/count_tokens", "/v1/messages/batches/é"]
)
def test_messages_are_its_own_whatever_the_headers(path: str) -> None:
    assert ANTHROPIC.owns(request(path=path))
    assert ANTHROPIC.owns(request(VERSION, path=path))


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/models", "/v1/models/é", "/v1/message", "/v1/messagesx"]
)
@pytest.mark.parametrize("version", [b"2023-06-01", b"", b"\xff"])
def test_a_shared_path_is_its_own_if_the_request_has_a_version(path: str, version: bytes) -> None:
    assert ANTHROPIC.owns(request((b"anthropic-version", version), path=path))
    assert not ANTHROPIC.owns(request(API_KEY, path=path))


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1x", "/v10/messages", "/V1/messages", "/messages", "/v2/messages", "/openai"],
)
def test_other_paths_are_not_its_own_even_with_a_version(path: str) -> None:
    assert not ANTHROPIC.owns(request(VERSION, path=path))


@pytest.mark.parametrize(
    "path", ["/v1/responses/compact", "/v1/responses", "/v1/completions", "/v1/moderations"]
)
def test_a_path_that_only_another_vendor_has_is_not_its_own_even_with_a_version(path: str) -> None:
    assert not ANTHROPIC.owns(request(VERSION, path=path))


# --- Credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [[API_KEY], [BEARER], [BEARER, API_KEY], [(b"x-api-key", b""), BEARER]],
)
def test_a_key_or_a_bearer_is_enough(headers: list[tuple[bytes, bytes]]) -> None:
    ANTHROPIC.authenticate(request(VERSION, *headers), True)

    with pytest.raises(RequestError):
        ANTHROPIC.authenticate(request(VERSION), True)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-api-key", b"")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic YTpi")],
        [(b"api-key", b"any")],
        [(b"x-api-key", b""), API_KEY],
    ],
)
def test_credentials_are_required_only_if_asked_for(headers: list[tuple[bytes, bytes]]) -> None:
    ANTHROPIC.authenticate(request(VERSION, *headers), False)

    with pytest.raises(RequestError, match="x-api-key header is required") as info:
        ANTHROPIC.authenticate(request(VERSION, *headers), True)
    assert info.value.status == 401


@pytest.mark.parametrize("require_auth", [True, False])
@pytest.mark.parametrize(
    "headers", [[], [(b"anthropic-version", b"")], [(b"anthropic-beta", b"x")]]
)
def test_a_version_is_always_required(
    headers: list[tuple[bytes, bytes]], require_auth: bool
) -> None:
    with pytest.raises(RequestError, match=r"^anthropic-version: header is required$") as info:
        ANTHROPIC.authenticate(request(API_KEY, *headers), require_auth)
    assert info.value.status == 400


def test_any_version_is_accepted() -> None:
    ANTHROPIC.authenticate(request((b"anthropic-version", b"\xff")), False)

    with pytest.raises(RequestError):
        ANTHROPIC.authenticate(request(), False)


def test_missing_credentials_are_reported_before_a_missing_version() -> None:
    with pytest.raises(RequestError) as info:
        ANTHROPIC.authenticate(request(), True)
    assert info.value.status == 401


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
        (599, "api_error"),
    ],
)
def test_the_status_decides_the_type_of_an_error(status: int, kind: str) -> None:
    error = ClientError(status, "é")

    assert ANTHROPIC.render_error(error, {}).status == status
    assert rendered(error) == {"type": "error", "error": {"type": kind, "message": "é"}}


@pytest.mark.parametrize(
    "error", [RequestError(400, "", param="p", code="c"), ClientError(400, ""), HTTPError(400, "")]
)
def test_an_error_never_has_param_and_code(error: ClientError) -> None:
    inner = {"type": "invalid_request_error", "message": ""}

    assert rendered(error) == {"type": "error", "error": inner}


def test_extra_members_are_beside_the_error() -> None:
    body = rendered(RequestError(404, "no"), hint="try é", path=None)

    assert list(body) == ["type", "error", "hint", "path"]
    assert (body["error"]["message"], body["hint"], body["path"]) == ("no", "try é", None)


def test_the_request_id_of_an_error_is_that_of_its_header() -> None:
    reply = ANTHROPIC.render_error(RequestError(400, "no"), {})

    request_id = placeholders.fill_fresh(dict(reply.headers)[b"request-id"], FRESH)
    body = orjson.loads(placeholders.fill_fresh(reply.body, FRESH))
    assert body["request_id"] == request_id.decode()


def test_a_message_is_one_line_of_json_whatever_it_contains() -> None:
    message = 'a"\\\n\r\x00\u2028日' * 10_000
    error = RequestError(400, message)

    assert rendered(error)["error"]["message"] == message
    assert b"\n" not in ANTHROPIC.render_error(error, {}).body
    assert "\u2028".encode() not in ANTHROPIC.render_error(error, {}).body


def _without_limits(headers: Headers) -> Headers:
    return tuple(each for each in headers if b"ratelimit" not in each[0])


def test_an_error_has_the_headers_of_an_answer_and_then_its_own() -> None:
    own = ((b"allow", b"POST"), (b"retry-after", b"1"))

    reply = ANTHROPIC.render_error(ClientError(405, "no", headers=own), {})

    timing = (b"server-timing", b"x-originResponse;dur=" + placeholders.ELAPSED_MS)
    assert reply.headers == (*_without_limits(ANTHROPIC.headers), timing, *own)
    assert not reply.streamed
