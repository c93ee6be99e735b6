"""Requests and the sessions that they belong to: what is shared, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Decision, ForwardRequest, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import ClientError
from mockllm.exchange import Request
from mockllm.state import sessions
from mockllm.state.choosing import AtEnd, ScriptEntry
from mockllm.state.operations import BeginSession, EndSession
from mockllm.state.responses import slot_of
from mockllm.state.session_names import session_of_credential
from tests.support import sequences
from tests.support.goldens import FRESH, delivered
from tests.support.served import (
    chat_mock,
    chat_request,
    chat_saying,
    messages_request,
    responses_mock,
    responses_request,
    responses_saying,
)

KEY = {"authorization": "Bearer any", "host": "localhost:8000"}
ANTHROPIC = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
CHAT = "/v1/chat/completions"
HEADER = "x-mockllm-session"


def ask(
    app: App, path: str = CHAT, body: Any = None, *, method: str = "POST", **headers: str
) -> Decision:
    named = KEY | {name.replace("_", "-"): value for name, value in headers.items()}
    return send(app, method, path, body if body is not None else chat_request("hi"), named)


def send(app: App, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Decision:
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    decision = app.decide(Request.of(method, path, lines, orjson.dumps(body)))
    assert isinstance(decision, Decision)
    return decision


def told(decision: Decision) -> Any:
    return orjson.loads(delivered(decision.reply))


def said(decision: Decision) -> str:
    """What a chat completion says, or the code of the error."""
    answer = told(decision)
    if "error" in answer:
        return str(answer["error"]["code"])
    return str(answer["choices"][0]["message"]["content"])


def counting(setting: Any = None) -> App:
    """An app whose mock says 0, 1 and 2, then nothing more."""
    made = sequences.engine(
        ["hi"], {"hi": sequences.sequence(ScriptEntry(), ScriptEntry(), ScriptEntry())}
    )
    made.session_setting = load(Config(session=setting)).session
    return App(made)


# --- The session of a request --------------------------------------------------------------------


def test_each_session_goes_through_a_sequence_on_its_own() -> None:
    app = counting()

    assert [said(ask(app, f"/session/{name}{CHAT}")) for name in "aabab"] == list("01021")
    assert said(ask(app)) == "0"


def test_the_url_comes_before_the_header_and_that_before_the_setting() -> None:
    app = counting({"header": "X-Test-Id"})

    decisions = [
        ask(app, f"/session/url{CHAT}", x_mockllm_session="header", x_test_id="setting"),
        ask(app, x_mockllm_session="header", x_test_id="setting"),
        ask(app, x_test_id="setting"),
        ask(app),
    ]

    assert [each.session for each in decisions] == ["url", "header", "setting", ""]
    assert [said(each) for each in decisions] == ["0"] * 4


def test_a_credential_may_name_the_session() -> None:
    app = counting("credential")

    one = [ask(app, authorization=f"Bearer {key}") for key in ("sk-a", "sk-b", "sk-a")]

    assert [said(each) for each in one] == ["0", "0", "1"]
    assert one[0].session == session_of_credential(b"sk-a")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (CHAT, b"sk-openai"),
        ("/v1/responses", b"sk-openai"),
        ("/v1/embeddings", b"sk-openai"),
        ("/v1/completions", b"sk-openai"),
        ("/v1/models", b"sk-openai"),
        ("/openai/deployments/m/chat/completions", b"sk-azure"),
        ("/openai/v1/responses", b"sk-azure"),
        ("/v1/messages", b"sk-anthropic"),
        ("/v1/messages/count_tokens", b"sk-anthropic"),
    ],
)
def test_of_several_credentials_that_of_the_vendor_names_the_session(path: str, key: bytes) -> None:
    app = counting("credential")
    credentials = {
        "authorization": "Bearer sk-openai",
        "api_key": "sk-azure",
        "x_api_key": "sk-anthropic",
    }

    assert ask(app, path, **credentials).session == session_of_credential(key)


def test_requests_that_name_no_session_belong_to_the_current_one() -> None:
    app = counting()
    ask(app)

    app.perform(BeginSession("a", current=True))
    in_a = ask(app)
    app.perform(BeginSession(sessions.COMMON, current=True))

    assert (in_a.session, said(in_a)) == ("a", "0")
    assert said(ask(app)) == "1"
    assert said(ask(app, f"/session/a{CHAT}")) == "1"


def test_the_current_session_survives_a_reload() -> None:
    app = counting()
    app.perform(BeginSession("a", current=True))

    app.use(Engine(load(Config.from_dict({"openai": [chat_mock("hi", chat_saying("ho"))]}))))

    assert ask(app).session == "a"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (CHAT, chat_request("hi"), KEY),
        ("/v1/responses", responses_request("hi"), KEY),
        ("/v1/messages", messages_request("hi"), ANTHROPIC),
    ],
)
def test_sequences_are_kept_per_session_in_every_api(
    path: str, body: dict[str, Any], headers: dict[str, str], stream: bool
) -> None:
    script, _ = sequences.sequence(ScriptEntry(), ScriptEntry(advances_retry=True))
    app = App(sequences.engine_of_all_apis(script, ["first", "second"]))
    body = body | {"stream": stream}

    def answer(session: str, retry: str) -> str:
        marked = headers | {"x-stainless-retry-count": retry}
        data = delivered(send(app, "POST", f"/session/{session}{path}", body, marked).reply)
        found = [word for word in (b"first", b"second", b"exhausted") if word in data]
        return b" ".join(found).decode()

    assert [answer("a", "0"), answer("a", "1"), answer("b", "0")] == ["first"] * 3
    assert [answer("a", "0"), answer("a", "1"), answer("b", "1")] == [
        "second",
        "exhausted",
        "first",
    ]


def test_several_choices_and_a_legacy_completion_are_of_the_session() -> None:
    app = counting()
    body = {"model": "m", "prompt": ["hi", "hi"]}

    legacy = told(ask(app, "/session/a/v1/completions", body))

    assert [each["text"] for each in legacy["choices"]] == ["0", "0"]
    assert said(ask(app, f"/session/a{CHAT}")) == "1"
    assert said(ask(app, f"/session/b{CHAT}", chat_request("hi", n=2))) == "0"


def test_a_mock_that_passes_lets_the_next_answer_in_each_session() -> None:
    first = sequences.sequence(ScriptEntry(), at_end=AtEnd.PASS)
    app = App(sequences.engine(["hi", "hi"], {"hi": first}))

    answers = [said(ask(app, f"/session/{name}{CHAT}")) for name in "aaab"]

    assert answers == ["0", "hi", "hi", "0"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["0", "1"])), max_size=20))
def test_sessions_are_servers_of_their_own(history: list[tuple[str, str]]) -> None:
    """Whatever the order of requests, each session answers as a server that has it alone."""
    shared, alone = counting(), {name: counting() for name in "abc"}

    for name, retry in history:
        marked = {"x_stainless_retry_count": retry}
        together = ask(shared, f"/session/{name}{CHAT}", **marked)
        assert said(together) == said(ask(alone[name], **marked))


PATHS = st.sampled_from(
    [
        CHAT,
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/m",
        "/v1/responses/resp_1",
        "/openai/deployments/m/chat/completions",
        "/health",
        "/",
        "/nothing",
    ]
)


@given(
    st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PURGE"]),
    PATHS,
    st.sampled_from([chat_request("hi"), responses_request("hi"), messages_request("x"), 3]),
    st.sampled_from([KEY, ANTHROPIC, {}]),
)
def test_every_path_answers_in_a_session_as_it_does_without(
    method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    app = App(Engine(load(Config.from_dict({"openai": [chat_mock("hi", chat_saying("ho"))]}))))
    before = send(app, method, path, body, headers)

    within = send(app, method, f"/session/a{path}", body, headers)

    assert within.reply.status == before.reply.status
    assert within.match.outcome is before.match.outcome
    if before.match.outcome is Outcome.MOCK:
        assert delivered(within.reply) == delivered(before.reply)


def test_equal_requests_of_two_sessions_share_a_cached_match() -> None:
    app = App(Engine(load(Config.from_dict({"openai": [chat_mock("hi", chat_saying("ho"))]}))))
    for name in "abcd":
        ask(app, f"/session/{name}{CHAT}")

    cache = app._engine.match_cache
    assert cache is not None
    assert cache.hits == 2


# --- Refusals ------------------------------------------------------------------------------------


def test_a_request_after_the_end_of_its_session_is_refused_by_the_vendor() -> None:
    app = counting()
    app.perform(EndSession("a"))

    late = ask(app, f"/session/a{CHAT}")
    by_header = ask(app, x_mockllm_session="a")
    message = send(app, "POST", "/session/a/v1/messages", messages_request("hi"), ANTHROPIC)
    models = ask(app, "/session/a/v1/models", method="GET")

    for each in (late, by_header, message, models):
        assert (each.reply.status, each.session) == (404, "a")
        assert each.match.outcome is Outcome.SESSION_ENDED
    assert told(late)["error"]["code"] == "session_ended"
    assert told(message)["type"] == "error"
    assert "The session 'a' has ended" in told(message)["error"]["message"]
    assert said(ask(app)) == "0"


def test_a_session_that_a_test_begins_again_starts_anew() -> None:
    app = counting()
    ask(app, f"/session/a{CHAT}")
    app.perform(EndSession("a"))
    app.perform(BeginSession("a"))

    assert said(ask(app, f"/session/a{CHAT}")) == "0"


def test_a_server_is_healthy_although_its_current_session_has_ended() -> None:
    app = counting()
    app.perform(BeginSession("a", current=True))
    app.perform(EndSession("a"))

    assert ask(app).match.outcome is Outcome.SESSION_ENDED
    for path in ("/health", "/ready"):
        assert ask(app, path, method="GET").reply.status == 200


@pytest.mark.parametrize(
    ("path", "header", "where"),
    [
        ("/session/a%20b/v1/chat/completions", "a", "in the URL"),
        ("/session//v1/chat/completions", "a", "in the URL"),
        ("/session/", "a", "in the URL"),
        ("/session/a%2Fb/health", "a", "in the URL"),
        (CHAT, "a b", "in the header x-mockllm-session"),
        (CHAT, "", "in the header x-mockllm-session"),
    ],
)
def test_an_invalid_name_is_a_400_that_says_where(path: str, header: str, where: str) -> None:
    decision = ask(counting(), path, x_mockllm_session=header)

    assert (decision.reply.status, decision.match.outcome) == (400, Outcome.REFUSED)
    text = delivered(decision.reply).decode()
    assert f"Invalid session name {where}: expected 1 to 128 of A-Z a-z 0-9 . _ -" in text


def test_an_invalid_name_is_refused_in_the_format_of_the_vendor() -> None:
    decision = send(counting(), "POST", "/session/a%20b/v1/messages", {}, ANTHROPIC)

    assert told(decision)["type"] == "error"


def test_a_preflight_passes_so_that_a_page_can_read_the_refusal() -> None:
    app = counting()
    app.perform(EndSession("a"))

    for path in (f"/session/a{CHAT}", f"/session/a%20b{CHAT}"):
        assert ask(app, path, method="OPTIONS").reply.status == 204


def test_a_web_socket_of_a_session_is_refused_at_once() -> None:
    upgrade = {"upgrade": "websocket"}

    assert ask(counting(), "/session/a/v1/responses", method="GET", **upgrade).reply.status == 426


def test_an_internal_error_has_the_format_of_the_vendor() -> None:
    request = Request.of("POST", "/session/a/v1/messages")

    reply = counting().render_error(request, ClientError(500, "failed"))

    assert orjson.loads(delivered(reply))["type"] == "error"


# --- Stored responses ----------------------------------------------------------------------------


def storing(app: App, path: str) -> str:
    """Create a response, and return its id."""
    lines = tuple((name.encode(), value.encode()) for name, value in KEY.items())
    request = Request.of("POST", path, lines, orjson.dumps(responses_request("hi")))
    decision = app.decide(request)
    assert isinstance(decision, Decision)
    app.responses.store(request, decision, FRESH)
    return str(told(decision)["id"])


def responding() -> App:
    mocks = {"openai_response": [responses_mock("hi", responses_saying("ho"))]}
    return App(Engine(load(Config.from_dict(mocks))))


@pytest.mark.parametrize("base", ["/v1", "/openai/v1", "/openai"])
def test_a_response_is_seen_by_its_own_session_only(base: str) -> None:
    app = responding()
    response_id = storing(app, f"/session/a{base}/responses")

    def status(prefix: str, method: str = "GET") -> int:
        path = f"{prefix}{base}/responses/{response_id}"
        return ask(app, path, method=method).reply.status

    assert [status("/session/a"), status("/session/b"), status("")] == [200, 404, 404]
    assert [status("/session/b", "DELETE"), status("/session/a", "DELETE")] == [404, 200]
    assert status("/session/a") == 404


def test_a_chat_completion_of_a_session_is_not_stored() -> None:
    app = counting()
    request = Request.of("POST", f"/session/a{CHAT}", (), b"")

    app.responses.store(request, ask(app, f"/session/a{CHAT}"), FRESH)

    assert len(app.responses.stored) == 0


def test_the_responses_of_a_session_are_dropped_at_its_end() -> None:
    app = responding()
    storing(app, "/session/a/v1/responses")
    storing(app, "/session/b/v1/responses")

    app.perform(EndSession("a"))

    assert [stored.session for stored in app.responses.stored.all()] == ["b"]


def test_another_worker_is_asked_for_the_response_of_the_same_session() -> None:
    app = responding()
    response_id = storing(app, "/session/a/v1/responses")
    other = responding()
    slot = slot_of(response_id)
    assert slot is not None
    other.set_peers(frozenset({slot}))
    lines = tuple((name.encode(), value.encode()) for name, value in KEY.items())

    def forwarded(prefix: str, *headers: tuple[bytes, bytes]) -> int | None:
        path = f"{prefix}/v1/responses/{response_id}"
        question = other.decide(Request.of("GET", path, (*lines, *headers)))
        assert isinstance(question, Question)
        (operation,) = question.operations
        assert isinstance(operation, ForwardRequest)
        reply = app.decide_forwarded(operation.request)
        decision = question.resume([reply])
        assert isinstance(decision, Decision)
        assert decision.session == (prefix[-1:] or ("a" if headers else ""))
        return decision.reply.status

    assert [forwarded("/session/a"), forwarded("/session/b"), forwarded("")] == [200, 404, 404]
    assert forwarded("", (HEADER.encode(), b"a")) == 200


# --- Bounds --------------------------------------------------------------------------------------


def test_the_session_longest_unused_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 2)
    app = counting()

    answers = [said(ask(app, f"/session/{name}{CHAT}")) for name in "abacab"]

    assert answers == ["0", "0", "1", "0", "2", "0"]
