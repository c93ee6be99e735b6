"""Methods, credentials and browsers, checked before any mock or endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config
from mockllm.engine.decision import Decision, Match, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import ClientError
from mockllm.exchange import Request
from mockllm.wire import placeholders
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, CONFIG, KEY, ask, header
from tests.support.served import chat_mock, chat_saying

# --- Methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/messages", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
        ("GET", "/v1/responses", "POST"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_a_405_names_the_allowed_methods(method: str, path: str, allowed: str) -> None:
    decision = ask(method, path)

    assert (decision.reply.status, header(decision, "allow")) == (405, allowed)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/models", {}, 401),
        ("GET", "/v1/models", {"anthropic-version": "1"}, 401),
        ("GET", "/v1/models", ANTHROPIC, 200),
        ("POST", "/v1/messages/count_tokens", KEY, 400),
        ("POST", "/v1/moderations", {}, 401),
        ("GET", "/health", {}, 200),
    ],
)
def test_credentials_are_required_where_the_service_requires_them(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(method, path, headers).reply.status == status


FAILURE = ClientError(500, "")


def test_credentials_are_not_required_without_authentication() -> None:
    engine = LoneApp(Engine(load(Config.from_dict({"require_auth": False}))))

    assert ask("GET", "/v1/models", {}, engine=engine).reply.status == 200


def test_a_websocket_handshake_is_a_426() -> None:
    decision = ask("GET", "/v1/responses", {"upgrade": "WebSocket", "connection": "Upgrade"})

    assert decision.reply.status == 426
    assert (header(decision, "upgrade"), header(decision, "connection")) == ("HTTP/1.1", "upgrade")


# --- Browsers ------------------------------------------------------------------------------------


def test_bytes_of_a_client_are_never_placeholders() -> None:
    hostile = (
        b"access-control-request-headers",
        b"x" + placeholders.UNIQUE_ID + placeholders.SECONDS,
    )

    decision = LoneApp(Engine(load(Config.from_dict(CONFIG)))).decide(
        Request.of("OPTIONS", "/v1/models", (hostile,))
    )

    assert header(decision, "access-control-allow-headers") == "authorization, *"


def test_a_preflight_allows_the_requested_headers() -> None:
    wanted = "authorization,x-stainless-os"

    decision = ask("OPTIONS", "/v1/responses/x", {"access-control-request-headers": wanted})

    assert (decision.reply.status, decision.reply.body) == (204, b"")
    assert header(decision, "access-control-allow-origin") == "*"
    assert header(decision, "access-control-allow-headers") == wanted
    assert header(decision, "access-control-allow-methods") == "DELETE, GET, HEAD"


def every_answer(**config: Any) -> list[Decision]:
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    engine = LoneApp(Engine(load(Config.from_dict(CONFIG | config))))
    return [
        ask("OPTIONS", "/v1/messages", engine=engine),
        ask("POST", "/v1/chat/completions", body=chat, engine=engine),
        ask("POST", "/v1/chat/completions", body=chat | {"stream": True}, engine=engine),
        ask("POST", "/v1/chat/completions", body={}, engine=engine),
        ask("GET", "/v1/models", engine=engine),
        ask("GET", "/nope", engine=engine),
        ask("GET", "/health", engine=engine),
        Decision.by(Match(Outcome.FAILED, engine.render_error(Request.of("GET", "/"), FAILURE))),
    ]


def test_pages_of_any_origin_may_read_every_answer() -> None:
    origins = {header(decision, "access-control-allow-origin") for decision in every_answer()}

    assert origins == {"*"}


def test_without_cors_no_page_may_read_any_answer() -> None:
    names = [name for each in every_answer(cors=False) for name, _ in each.reply.headers]

    assert [name for name in names if name.startswith(b"access-control-")] == []


def test_without_cors_a_literal_stream_is_not_read_either() -> None:
    literal = chat_mock("hi", chat_saying("ho")) | {"stream": {"events": ["[DONE]"]}}
    engine = LoneApp(Engine(load(Config.from_dict({"openai": [literal], "cors": False}))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

    decision = ask("POST", "/v1/chat/completions", body=body, engine=engine)

    assert decision.reply.body == b"data: [DONE]\n\n"
    assert header(decision, "access-control-allow-origin") is None
