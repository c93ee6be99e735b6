"""OpenAI as a vendor: whose requests, which credentials, what errors."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import ClientError, HTTPError, RequestError
from mockllm.exchange import Headers, Request
from mockllm.providers.openai.vendor import OPENAI

BEARER = (b"authorization", b"Bearer sk-any")
API_KEY = (b"api-key", b"any")


def request(*headers: tuple[bytes, bytes], path: str = "/v1/responses") -> Request:
    return Request.of("POST", path, headers)


def rendered(error: ClientError, **extra: Any) -> Any:
    return orjson.loads(OPENAI.render_error(error, extra).body)


# --- Ownership -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/responses", "/v1//", "/v1/é", "/openai", "/openai/deployments/d/x"],
)
def test_paths_of_openai_and_azure_are_its_own(path: str) -> None:
    assert OPENAI.owns(request(path=path))


@pytest.mark.parametrize(
    "path",
    ["", "/", "v1/", "//v1/", "/v1x", "/v10/responses", "/V1/responses", "/openaix", "/x/v1/"],
)
def test_paths_that_only_look_like_its_own_are_not(path: str) -> None:
    assert not OPENAI.owns(request(path=path))


# --- Credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [[BEARER], [API_KEY], [BEARER, API_KEY], [(b"authorization", b""), API_KEY]],
)
def test_a_bearer_or_the_key_of_azure_is_enough(headers: list[tuple[bytes, bytes]]) -> None:
    OPENAI.authenticate(request(*headers), True)

    with pytest.raises(RequestError):
        OPENAI.authenticate(request(), True)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"api-key", b"")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Basic YTpi")],
        [(b"x-api-key", b"any")],
        [(b"authorization", b"Basic YTpi"), BEARER],
    ],
)
def test_credentials_are_required_only_if_asked_for(headers: list[tuple[bytes, bytes]]) -> None:
    OPENAI.authenticate(request(*headers), False)

    with pytest.raises(RequestError, match="You didn't provide an API key") as info:
        OPENAI.authenticate(request(*headers), True)
    assert (info.value.status, info.value.param, info.value.code) == (401, None, None)


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_request_error"),
        (403, "invalid_request_error"),
        (404, "invalid_request_error"),
        (413, "invalid_request_error"),
        (429, "requests"),
        (499, "invalid_request_error"),
        (500, "server_error"),
        (503, "server_error"),
        (529, "server_error"),
    ],
)
def test_the_status_decides_the_type_of_an_error(status: int, kind: str) -> None:
    error = RequestError(status, "é", param="messages.0", code="c")

    inner = {"message": "é", "type": kind, "param": "messages.0", "code": "c"}
    assert OPENAI.render_error(error, {}).status == status
    assert rendered(error) == {"error": inner}


@pytest.mark.parametrize("error", [RequestError(400, ""), ClientError(400, ""), HTTPError(400, "")])
def test_an_error_without_param_and_code_has_them_as_nulls(error: ClientError) -> None:
    inner = {"message": "", "type": "invalid_request_error", "param": None, "code": None}

    assert rendered(error) == {"error": inner}


def test_extra_members_are_beside_the_error() -> None:
    body = rendered(RequestError(404, "no"), hint="try é", path=None)

    assert list(body) == ["error", "hint", "path"]
    assert (body["error"]["message"], body["hint"], body["path"]) == ("no", "try é", None)


def test_a_message_is_one_line_of_json_whatever_it_contains() -> None:
    message = 'a"\\\n\r\x00\u2028日' * 10_000
    body = OPENAI.render_error(RequestError(400, message), {}).body

    assert orjson.loads(body)["error"]["message"] == message
    assert len(body.decode().splitlines()) == 1


def _without_limits(headers: Headers) -> Headers:
    return tuple(each for each in headers if b"ratelimit" not in each[0])


def test_an_error_has_the_headers_of_an_answer_and_then_its_own() -> None:
    own = ((b"allow", b"POST"), (b"retry-after", b"1"))

    reply = OPENAI.render_error(ClientError(405, "no", headers=own), {})

    recorded = (
        (b"openai-project", b"proj_mockllm"),
        (b"vary", b"Origin"),
        (b"x-content-type-options", b"nosniff"),
    )
    assert reply.headers == _without_limits(OPENAI.headers) + recorded + own
    assert not reply.streamed
