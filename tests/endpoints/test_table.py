from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.app import App
from mockllm.endpoints.table import ROUTES
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import ClientError
from mockllm.exchange import Request
from mockllm.prompt import Prompt
from mockllm.wire import placeholders
from tests.support.goldens import FRESH, delivered
from tests.support.served import MODEL, chat_mock, chat_saying, responses_mock, responses_saying

KEY = {"authorization": "Bearer any"}
ANTHROPIC = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
HOST = {"host": "localhost:8000"}
CONFIG: dict[str, Any] = {
    "openai": [chat_mock("hi", chat_saying("ho") | {"model": MODEL})],
    "openai_response": [responses_mock("hi", responses_saying("ho"))],
}


def echo(prompt: Prompt) -> str:
    return f"<{prompt.text}>"


def ask(
    method: str,
    path: str,
    headers: Mapping[str, str] = KEY,
    body: Any = None,
    *,
    engine: App | None = None,
) -> Decision:
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    data = b"" if body is None else orjson.dumps(body)
    one = engine or App(Engine(load(Config.from_dict(CONFIG))))
    return one.decide(Request.of(method, path, lines, data))


def header(decision: Decision, name: str) -> str | None:
    found = dict(decision.reply.headers).get(name.encode())
    return None if found is None else found.decode()


def told(decision: Decision) -> Any:
    return orjson.loads(delivered(decision.reply))


# --- Methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/v1/models", f"/v1/models/{MODEL}"])
def test_head_is_answered_where_get_is(path: str) -> None:
    assert ask("HEAD", path).reply.status == 200


def test_somebody_is_there() -> None:
    assert ask("HEAD", "/", {}).reply.status == 200
    assert ask("GET", "/", {}).reply.status == 404


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
def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allowed: str) -> None:
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
def test_credentials_are_wanted_where_the_service_wants_them(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(method, path, headers).reply.status == status


def test_credentials_are_not_wanted_if_nobody_wants_them() -> None:
    engine = App(Engine(load(Config.from_dict({"require_auth": False}))))

    assert ask("GET", "/v1/models", {}, engine=engine).reply.status == 200


def test_a_websocket_is_told_to_use_http() -> None:
    decision = ask("GET", "/v1/responses", {"upgrade": "WebSocket", "connection": "Upgrade"})

    assert decision.reply.status == 426
    assert (header(decision, "upgrade"), header(decision, "connection")) == ("HTTP/1.1", "upgrade")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = st.sampled_from(("model", "prompt", "input", "messages", "stream", "stream_options"))
BODIES = st.dictionaries(MEMBERS, JSON | st.just("hi")).map(orjson.dumps) | st.binary(max_size=9)


@pytest.fixture(scope="module")
def engine() -> App:
    one = App(Engine(load(Config.from_dict(CONFIG))))
    body = orjson.dumps({"model": "m", "input": "hi", "background": True})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    one.store_response(request, one.decide(request), FRESH)
    return one


@given(
    method=st.sampled_from(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT")),
    template=st.sampled_from([route.template for route in ROUTES]),
    name=st.sampled_from(
        (MODEL, f"resp_{FRESH.unique_id.decode()}", "%ff", "a%2Fb", "", "{id}", "{id...}")
    ),
    query=st.sampled_from(("", "stream=true&starting_after=99", "limit=0", "order=asc&after=x")),
    body=BODIES,
)
def test_nothing_a_client_sends_raises(
    engine: App, method: str, template: str, name: str, query: str, body: bytes
) -> None:
    path = template.replace("{id}", name).replace("{id...}", name)
    headers = tuple((name.encode(), value.encode()) for name, value in (KEY | ANTHROPIC).items())

    decision = engine.decide(Request.of(method, path, headers, body, query=query))

    assert decision.reply.status < 500


# --- Browsers ------------------------------------------------------------------------------------


def test_what_a_client_writes_is_no_mark() -> None:
    hostile = (
        b"access-control-request-headers",
        b"x" + placeholders.UNIQUE_ID + placeholders.SECONDS,
    )

    decision = App(Engine(load(Config.from_dict(CONFIG)))).decide(
        Request.of("OPTIONS", "/v1/models", (hostile,))
    )

    assert header(decision, "access-control-allow-headers") == "authorization, *"


def test_a_browser_may_send_what_it_asks_for() -> None:
    wanted = "authorization,x-stainless-os"

    decision = ask("OPTIONS", "/v1/responses/x", {"access-control-request-headers": wanted})

    assert (decision.reply.status, decision.reply.body) == (204, b"")
    assert header(decision, "access-control-allow-origin") == "*"
    assert header(decision, "access-control-allow-headers") == wanted
    assert header(decision, "access-control-allow-methods") == "DELETE, GET, HEAD"


def every_answer(**config: Any) -> list[Decision]:
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    engine = App(Engine(load(Config.from_dict(CONFIG | config))))
    return [
        ask("OPTIONS", "/v1/messages", engine=engine),
        ask("POST", "/v1/chat/completions", body=chat, engine=engine),
        ask("POST", "/v1/chat/completions", body=chat | {"stream": True}, engine=engine),
        ask("POST", "/v1/chat/completions", body={}, engine=engine),
        ask("GET", "/v1/models", engine=engine),
        ask("GET", "/nope", engine=engine),
        ask("GET", "/health", engine=engine),
        Decision(engine.render_error(Request.of("GET", "/"), ClientError(500, "")), None, ""),
    ]


def test_a_page_of_any_origin_may_read_every_answer() -> None:
    origins = {header(decision, "access-control-allow-origin") for decision in every_answer()}

    assert origins == {"*"}


def test_without_cors_no_page_may_read_any_answer() -> None:
    names = [name for each in every_answer(cors=False) for name, _ in each.reply.headers]

    assert [name for name in names if name.startswith(b"access-control-")] == []


def test_without_cors_a_literal_stream_is_not_read_either() -> None:
    literal = chat_mock("hi", chat_saying("ho")) | {"stream": {"events": ["[DONE]"]}}
    engine = App(Engine(load(Config.from_dict({"openai": [literal], "cors": False}))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

    decision = ask("POST", "/v1/chat/completions", body=body, engine=engine)

    assert decision.reply.body == b"data: [DONE]\n\n"
    assert header(decision, "access-control-allow-origin") is None


# --- Base URLs that are nearly right -------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "what", "meant"),
    [
        ("/chat/completions", "The base URL lacks '/v1'", "/v1/chat/completions"),
        ("/models/a/b", "The base URL lacks '/v1'", "/v1/models/a/b"),
        ("/messages", "The base URL lacks '/v1'", "/v1/messages"),
        (
            "/v1/v1/messages",
            "The base URL must not end in '/v1': the client adds it",
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
def test_a_mistake_in_a_base_url_is_named(path: str, what: str, meant: str) -> None:
    decision = ask("POST", path, HOST)

    assert decision.reply.status == 404
    assert told(decision)["error"]["message"] == (
        f"Invalid URL (POST {path}). {what}. The right URL is http://localhost:8000{meant}. "
        "Base URLs of clients: http://localhost:8000 for Anthropic, "
        "http://localhost:8000/v1 for OpenAI."
    )


@pytest.mark.parametrize("path", ["/nope", "/v2/messages", "/v1x/models", "/" * 70_000])
def test_what_is_not_near_is_told_what_there_is(path: str) -> None:
    body = told(ask("POST", path, {}))

    assert body["error"] == "Endpoint not found"
    assert "POST /v1/responses/{id}/cancel, " in body["hint"]


def test_a_mistake_is_told_in_the_envelope_of_its_vendor() -> None:
    assert told(ask("POST", "/v1/v1/messages", {}))["type"] == "error"
    assert told(ask("GET", "/models", ANTHROPIC))["type"] == "error"
    assert "type" not in told(ask("GET", "/models", KEY))


# --- Where nothing matches -----------------------------------------------------------------------


def test_a_demo_echoes_a_prompt_too() -> None:
    engine = App(Engine(load(Config()), echo=echo))

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": "hu"}, engine=engine)

    assert told(decision)["choices"][0]["text"] == "<hu>"


def test_an_echoed_response_is_given_again() -> None:
    engine = App(Engine(load(Config()), echo=echo))
    body = orjson.dumps({"model": "m", "input": "hu"})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    given = engine.decide(request)
    engine.store_response(request, given, FRESH)

    again = ask("GET", f"/v1/responses/{told(given)['id']}", engine=engine)

    assert told(again)["output"] == told(given)["output"]


def test_invented_vectors_are_not_remembered() -> None:
    engine = App(Engine(load(Config())))
    for _ in range(3):
        decision = ask("POST", "/v1/embeddings", body={"model": "m", "input": "hi"}, engine=engine)
        assert decision.reason == "invented"

    assert engine._engine.decisions is not None
    assert len(engine._engine.decisions) == 0


def test_a_refusal_is_not_kept() -> None:
    engine = App(Engine(load(Config.from_dict(CONFIG))))
    for body in (b"{", b'{"model": "m", "input": "unknown"}'):
        request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
        engine.store_response(request, engine.decide(request), FRESH)

    assert len(engine._context.stored) == 0


@pytest.mark.parametrize(("name", "value"), [("limit", "x"), ("limit", "-1"), ("limit", "²")])
def test_a_page_is_as_long_as_a_number_says(name: str, value: str) -> None:
    engine = App(Engine(load(Config.from_dict(CONFIG))))
    body = orjson.dumps({"model": "m", "input": "hi"})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    given = engine.decide(request)
    engine.store_response(request, given, FRESH)
    path = f"/v1/responses/{told(given)['id']}/input_items"

    lines = ((b"authorization", b"Bearer x"),)
    refused = engine.decide(Request.of("GET", path, lines, query=f"{name}={value}"))

    assert refused.reply.status == 400
    assert told(refused)["error"]["param"] == name
