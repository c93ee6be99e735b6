from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import ClientError
from mockllm.exchange import Reply, Request
from mockllm.wire import placeholders
from tests.support.apps import LoneApp
from tests.support.goldens import FRESH, delivered

CHAT = "/v1/chat/completions"
KEY = (b"authorization", b"Bearer any")
MESSAGES_HEADERS = ((b"x-api-key", b"any"), (b"anthropic-version", b"2023-06-01"))


def chat_mock(content: str, answer: str, name: str = "", **match: Any) -> dict[str, Any]:
    return {
        "name": name,
        "match": {"message": {"role": "user", "content": content}, **match},
        "response": {"choices": [{"message": {"content": answer}}]},
    }


def engine(*mocks: dict[str, Any], **config: Any) -> LoneApp:
    return LoneApp(Engine(load(Config.from_dict({"openai": list(mocks), **config}))))


def post(body: Any, path: str = CHAT, *headers: tuple[bytes, bytes]) -> Request:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Request.of("POST", path, headers or (KEY,), data)


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt", "messages": [{"role": "user", "content": text}], **more}


def answer(decision: Decision) -> Any:
    """The content of a whole Chat Completions answer."""
    return body(decision.reply)["choices"][0]["message"]["content"]


def body(reply: Reply) -> Any:
    return orjson.loads(delivered(reply))


def test_the_first_mock_that_matches_answers() -> None:
    decide = engine(chat_mock("hi", "one"), chat_mock("hi", "two"), chat_mock("ho", "three")).decide

    decisions = [decide(post(say(text))) for text in ("hi", "ho")]

    assert [answer(decision) for decision in decisions] == ["one", "three"]
    assert [(d.match.outcome.value, d.match.rule and d.match.rule.index) for d in decisions] == [
        ("matched", 0),
        ("matched", 2),
    ]


def test_the_request_fills_placeholders() -> None:
    reply = engine(chat_mock("hi", "ho")).decide(post(say("hi", model="my-model"))).reply

    whole = body(reply)
    assert whole["model"] == "my-model"
    assert whole["usage"]["prompt_tokens"] > 0
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + 1


@pytest.mark.parametrize(
    ("request_", "status", "fragment"),
    [
        (post(say("hi"), CHAT, (b"x", b"y")), 401, "You didn't provide an API key"),
        (post(say("hi"), CHAT, (b"authorization", b"Bearer ")), 401, "API key"),
        (post(say("hi"), CHAT, (b"authorization", b"Basic abc")), 401, "API key"),
        (post(b'{"a":'), 400, "We could not parse the JSON body"),
        (post(b"[]"), 400, "expected a JSON object, found a list"),
        (post(b""), 400, "We could not parse the JSON body"),
        (post({"messages": []}), 400, "model: Field required"),
        (post({"model": "m"}), 400, "messages: Field required"),
        (post(say("hi", temperature="hot")), 400, "temperature: expected a number"),
        (
            post({"model": "m", "messages": [{"role": "user", "content": 3}]}),
            400,
            "messages.0.content: expected a string or a list of parts, found 3",
        ),
        (Request.of("GET", CHAT, (KEY,)), 405, "Not allowed to GET on /v1/chat/completions"),
        (post({}, "/v1/nope"), 404, "Invalid URL (POST /v1/nope)"),
    ],
)
def test_a_refusal_is_in_the_openai_envelope(request_: Request, status: int, fragment: str) -> None:
    decision = engine(chat_mock("hi", "ho")).decide(request_)

    error = body(decision.reply)["error"]
    assert decision.reply.status == status
    assert fragment in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_a_405_names_the_allowed_method() -> None:
    reply = engine().decide(Request.of("GET", CHAT)).reply

    assert (b"allow", b"POST") in reply.headers


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        (post({}, "/v1/messages", (b"a", b"b")), 401, "authentication_error"),
        (post({}, "/v1/messages", MESSAGES_HEADERS[0]), 400, "invalid_request_error"),
        (post({}, "/v1/messages", *MESSAGES_HEADERS), 400, "invalid_request_error"),
        (post(say("hi", max_tokens=1), "/v1/messages", *MESSAGES_HEADERS), 404, "not_found_error"),
        (post({}, "/v1/nope", *MESSAGES_HEADERS), 404, "not_found_error"),
    ],
)
def test_a_refusal_is_in_the_anthropic_envelope(request_: Request, status: int, kind: str) -> None:
    reply = engine().decide(request_).reply

    told = body(reply)
    assert (reply.status, told["type"], told["error"]["type"]) == (status, "error", kind)
    header = placeholders.fill_fresh(dict(reply.headers)[b"request-id"], FRESH)
    assert told["request_id"] == header.decode()


def test_authentication_can_be_turned_off() -> None:
    one = engine(chat_mock("hi", "ho"), require_auth=False)

    assert answer(one.decide(post(say("hi"), CHAT, (b"a", b"b")))) == "ho"


def test_a_404_of_an_unknown_path_lists_the_endpoints() -> None:
    told = body(engine().decide(Request.of("PUT", "/nope")).reply)

    assert told.pop("hint").startswith("Known endpoints: POST /v1/chat/completions, ")
    assert told == {"error": "Endpoint not found", "path": "/nope", "method": "PUT"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_counts_the_mocks(method: str) -> None:
    decision = engine(chat_mock("hi", "ho")).decide(Request.of(method, "/health"))

    assert body(decision.reply) == {
        "status": "healthy",
        "service": "mock-llm",
        "openai": 1,
        "openai_response": 0,
        "anthropic": 0,
        "openai_embeddings": 0,
        "reuse": {"hits": 0, "misses": 0},
    }


def test_a_mock_of_every_api_is_counted_once() -> None:
    config = Config.from_dict({"openai": [chat_mock("Hi", "Hello")], "mocks": [{"reply": "Hi"}]})

    counts = Engine(load(config)).counts

    own = {"openai": 1, "openai_response": 0, "anthropic": 0, "openai_embeddings": 0}
    assert counts == {**own, "mocks": 1}


def test_health_is_read_only() -> None:
    assert engine().decide(Request.of("POST", "/health")).reply.status == 405


def test_an_echo_answers_where_nothing_matches() -> None:
    one = LoneApp(Engine(load(Config()), echo=lambda prompt: f"<{prompt.text}>"))

    assert answer(one.decide(post(say("hi")))) == "<hi>"


def test_an_error_finds_the_envelope_of_its_path() -> None:
    one = engine()
    error = ClientError(500, "oops")

    told = [
        body(one.render_error(request, error))
        for request in (post({}), post({}, "/v1/messages"), post({}, "/elsewhere"))
    ]

    assert [each["error"] for each in told] == [
        {"message": "oops", "type": "server_error", "param": None, "code": None},
        {"type": "api_error", "message": "oops"},
        "oops",
    ]


A, B = ({"name": name, "value": "a"} for name in ("X-Tenant", "X-Region"))
CONFIG = {
    "openai": [
        chat_mock("hi", "to a in a", headers=[A, B]),
        chat_mock("hi", "to a", headers=[A]),
        chat_mock("hi", "to all"),
        chat_mock("h", "h", match_type="contains"),
    ],
    "anthropic": [
        {
            "match": {"message": {"role": "user", "content": "hi"}},
            "response": {"content": [{"type": "text", "text": "ho"}]},
        }
    ],
    "mocks": [
        {"match": {"tool_names": ["f"]}, "headers": {"x-a": "1"}, "reply": {"json": {"a": 1}}}
    ],
}
TOOL = {"name": "f", "input_schema": {}}
ASKED = [
    *(
        ("/v1/messages", say("?", max_tokens=5, tools=[TOOL], tool_choice=choice, stream=stream))
        for choice in ({"type": "any"}, {"type": "auto"})
        for stream in (True, False)
    ),
    *((CHAT, say("hi")), (CHAT, say("hi", stream=True)), (CHAT, say("nobody")), (CHAT, {})),
    *(("/v1/messages", say("hi", max_tokens=5)), ("/v1/messages", say("hi")), ("/v1/x", {})),
    *(("/v1/completions", {"model": "m", "prompt": each}) for each in ("hi", "no", ["no", "hi"])),
    ("/v1/completions", {"model": "m", "prompt": "no", "stream": True}),
]
TENANTS = [(), *([(b"x-tenant", b"a"), (b"x-region", value)] for value in (b"a", b"b"))]
REQUESTS = st.builds(
    lambda asked, headers: post(asked[1], asked[0], KEY, (b"anthropic-version", b"1"), *headers),
    st.sampled_from(ASKED),
    st.sampled_from(TENANTS),
)


@given(st.lists(REQUESTS, max_size=4), st.booleans())
def test_a_reused_decision_is_the_decision(asked: list[Request], echoes: bool) -> None:
    loaded = load(Config.from_dict(CONFIG))
    echo = (lambda prompt: f"<{prompt.text}>") if echoes else None
    reusing, plain = (LoneApp(Engine(loaded, echo=echo, reuse=reuse)) for reuse in (True, False))

    for request in asked * 4:  # a decision is kept the second time
        again, anew = reusing.decide(request), plain.decide(request)
        assert (again.reply, again.match.outcome, again.match.rule) == (
            anew.reply,
            anew.match.outcome,
            anew.match.rule,
        )
        assert again.ready is not None
        assert anew.ready is not None
        assert again.ready.finish(FRESH) == anew.ready.finish(FRESH)


VERSION = (b"anthropic-version", b"1")
PLAIN = {name: CONFIG[name][-1:] for name in ("openai", "anthropic")}
TENANT_A = (b"x-tenant", b"a")


@pytest.mark.parametrize(
    ("config", "one", "other"),
    [
        (
            PLAIN,
            post(say("hi", max_tokens=5), CHAT, KEY, VERSION),
            post(say("hi", max_tokens=5), "/v1/messages", KEY, VERSION),
        ),
        (
            CONFIG,
            post(say("hi"), CHAT, KEY, TENANT_A, (b"x-region", b"a")),
            post(say("hi"), CHAT, KEY, TENANT_A, (b"x-region", b"b")),
        ),
        (PLAIN, post(say("hi"), CHAT, KEY), post(say("hi"), CHAT, TENANT_A)),
    ],
)
def test_every_deciding_value_is_part_of_the_cache_key(
    config: dict[str, Any], one: Request, other: Request
) -> None:
    loaded = load(Config.from_dict(config))
    reusing, plain = LoneApp(Engine(loaded)), LoneApp(Engine(loaded, reuse=False))
    for _ in range(3):
        reusing.decide(one)

    assert plain.decide(one).reply != plain.decide(other).reply
    assert reusing.decide(other).reply == plain.decide(other).reply


def test_a_repeated_request_is_not_matched_again() -> None:
    one = engine(chat_mock("hi", "ho"))

    decisions = [one.decide(post(say("hi"))) for _ in range(4)]

    assert decisions[2].match is decisions[3].match


def test_warming_renders_every_whole_answer() -> None:
    one = engine(chat_mock("hi", "ho"), chat_mock("ha", "he"))

    one._engine.warm()

    assert sorted(index for _, index, *_ in one._engine.renderer._prepared) == [0, 1]
