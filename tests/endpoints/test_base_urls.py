"""Base URLs that are nearly right."""

from __future__ import annotations

import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told

HOST = {"host": "localhost:8000"}


def explanation(path: str, what: str, meant: str, prefix: str = "") -> str:
    root = f"http://localhost:8000{prefix}"
    return (
        f"Invalid URL (POST {path}). {what}. The right URL is {root}{meant}. "
        f"Base URLs of clients: {root} for Anthropic, {root}/v1 for OpenAI."
    )


@pytest.mark.parametrize(
    ("path", "what", "meant"),
    [
        ("/chat/completions", "The base URL lacks '/v1'", "/v1/chat/completions"),
        ("/models/a/b", "The base URL lacks '/v1'", "/v1/models/a/b"),
        ("/messages", "The base URL lacks '/v1'", "/v1/messages"),
        (
            "/v1/v1/messages",
            "The base URL has one '/v1' too many",
            "/v1/messages",
        ),
        ("/v1/chat/completions/", "The path has an extra '/'", "/v1/chat/completions"),
        ("/v1//responses", "The path has an extra '/'", "/v1/responses"),
        (
            "/v1/responses/responses",
            "The base URL has an extra '/responses'",
            "/v1/responses",
        ),
        (
            "/v1/chat/completions/chat/completions",
            "The base URL has an extra '/chat/completions'",
            "/v1/chat/completions",
        ),
        ("/api/v1/messages", "The base URL has an extra '/api'", "/v1/messages"),
    ],
)
def test_a_wrong_base_url_is_explained(path: str, what: str, meant: str) -> None:
    decision = ask("POST", path, HOST)

    assert decision.reply.status == 404
    assert told(decision)["error"]["message"] == explanation(path, what, meant)


@pytest.mark.parametrize(
    ("path", "what", "prefix", "meant"),
    [
        ("/session/a/models", "The base URL lacks '/v1'", "/session/a", "/v1/models"),
        (
            "/session/a/v1/v1/models",
            "The base URL has one '/v1' too many",
            "/session/a",
            "/v1/models",
        ),
        ("/session/a//v1/models", "The path has an extra '/'", "/session/a", "/v1/models"),
        ("//session/a/v1/models", "The path has an extra '/'", "/session/a", "/v1/models"),
        (
            "/session/v1/chat/completions",
            "The path lacks the name of a session after '/session/'",
            "/session/NAME",
            "/v1/chat/completions",
        ),
        (
            "/session/a/session/b/v1/models",
            "The path names two sessions",
            "/session/b",
            "/v1/models",
        ),
        (
            "/sessions/a/v1/chat/completions",
            "The path begins with '/sessions/', not with '/session/'",
            "/session/a",
            "/v1/chat/completions",
        ),
        (
            "/v1/session/a/chat/completions",
            "The base URL has '/v1' before '/session/a'",
            "/session/a",
            "/v1/chat/completions",
        ),
        (
            "/api/session/a/v1/messages",
            "The base URL has '/api' before '/session/a'",
            "/session/a",
            "/v1/messages",
        ),
    ],
)
def test_a_wrong_base_url_of_a_session_is_explained(
    path: str, what: str, prefix: str, meant: str
) -> None:
    decision = ask("POST", path, HOST)

    assert decision.reply.status == 404
    assert told(decision)["error"]["message"] == explanation(path, what, meant, prefix)


def test_an_unknown_path_of_a_session_lists_the_known_ones() -> None:
    answer = told(ask("POST", "/session/a/nothing", HOST))

    assert answer["path"] == "/session/a/nothing"
    assert "POST /v1/chat/completions" in answer["hint"]


def test_a_405_in_a_session_names_the_whole_path() -> None:
    decision = ask("GET", "/session/a/v1/chat/completions")

    assert decision.reply.status == 405
    assert "Not allowed to GET on /session/a/v1/chat/completions. Allowed: POST." in str(
        told(decision)
    )


@pytest.mark.parametrize(
    "path", ["/sk-abc/v1/messages", "/v1/sk-abc/chat", "/%73k%2Dabc/models", "/sk-abc"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_credential_in_the_path_is_not_quoted(path: str, method: str) -> None:
    body = ask(method, path, HOST).reply.body

    assert b"***" in body
    assert b"abc" not in body


def test_the_advice_names_https_if_the_server_has_a_certificate() -> None:
    app = LoneApp(Engine(load(Config())), tls=True)
    headers = ((b"host", b"localhost:1"),)

    body = app.decide(Request.of("POST", "/v1/v1/messages", headers)).reply.body.decode("latin-1")

    assert "https://localhost:1/v1/messages" in body
    assert "http://" not in body


@pytest.mark.parametrize("path", ["/nope", "/v2/messages", "/v1x/models", "/" * 70_000])
def test_an_unrelated_path_gets_the_list_of_endpoints(path: str) -> None:
    body = told(ask("POST", path, {}))

    assert body["error"] == "Endpoint not found"
    assert "POST /v1/responses/{id}/cancel, " in body["hint"]


def test_a_wrong_base_url_is_reported_in_the_envelope_of_its_vendor() -> None:
    assert told(ask("POST", "/v1/v1/messages", {}))["type"] == "error"
    assert told(ask("GET", "/models", ANTHROPIC))["type"] == "error"
    assert "type" not in told(ask("GET", "/models", KEY))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/sk-proj-abc"),
        ("GET", "/models/sk-proj-abc"),
        ("GET", "/v1/v1/models/sk-proj-abc"),
        ("GET", "/v1/models/org/sk-proj-abc/"),
        ("GET", "/sk-proj-abc/v1/models/x"),
        ("GET", "/v1/responses/sk-proj-abc"),
        ("DELETE", "/v1/responses/sk-proj-abc"),
        ("GET", "/v1/responses/sk-proj-abc/input_items"),
        ("POST", "/v1/responses/sk-proj-abc/cancel"),
        ("POST", "/openai/deployments/sk-proj-abc/chat/completions/chat/completions"),
        ("POST", "/openai/deployments/sk-proj-abc/nothing"),
        ("PUT", "/openai/deployments/sk-proj-abc/chat/completions"),
        ("POST", "/openai/openai/deployments/sk-proj-abc/responses"),
        ("POST", "/v1/responses/sk-proj-abc/responses"),
    ],
)
@pytest.mark.parametrize("vendor", [KEY, ANTHROPIC])
def test_no_error_quotes_a_credential_in_the_path(
    vendor: dict[str, str], method: str, path: str
) -> None:
    reply = ask(method, path, {**HOST, **vendor}).reply

    assert 400 <= reply.status < 500
    assert "sk-proj-abc" not in str((reply.headers, told(ask(method, path, {**HOST, **vendor}))))
