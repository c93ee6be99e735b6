"""Calls: what a test reads of a request, in the same words for every API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mockllm.engine.decision import End
from mockllm.observers.calls import Call, CallHeaders
from mockllm.observers.journal import Journal
from mockllm.prompt import Earlier
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request, messages_request, responses_request

CHAT = PATHS["chat"]
SECRET = "sk-proj-abc123def456ghi789jkl0"
TOOL = {"name": "get_weather", "description": "", "parameters": {"type": "object"}}
CONVERSATION: dict[str, Any] = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "How is the weather?"},
    ],
    "tools": [{"type": "function", "function": TOOL}],
}


def test_a_call_has_the_words_of_its_request() -> None:
    call = Observed().call(CHAT, CONVERSATION)

    assert (call.method, call.path, call.api, call.model) == ("POST", CHAT, "chat", "gpt-4o")
    assert (call.user, call.text, call.system) == (*["How is the weather?"] * 2, "Be brief")
    assert (call.tools, call.stream, call.turn, call.step) == (("get_weather",), True, 2, 1)
    assert [message.role for message in call.messages] == ["user", "assistant", "user"]
    assert call.body == CONVERSATION
    assert (call.mock, call.status, call.attempt, call.session) == ("weather", 200, 1, None)


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", chat_request("the weather")),
        ("responses", responses_request("the weather")),
        ("messages", messages_request("the weather")),
    ],
)
def test_every_api_gives_the_same_words(api: str, body: dict[str, Any]) -> None:
    call = Observed().call(PATHS[api], body)

    assert (call.api, call.user, call.turn, call.mock) == (api, "the weather", 1, "weather")
    assert call.input_tokens > 0
    assert call.output_tokens == 2  # "Sunny"


def test_tokens_are_those_of_the_usage() -> None:
    call = Observed().call(CHAT, chat_request("anonymous"))

    assert call.input_tokens == 7


def test_an_error_has_no_output_tokens() -> None:
    call = Observed().call(CHAT, chat_request("busy"))

    assert (call.status, call.output_tokens) == (503, 0)
    assert call.input_tokens > 0


def test_a_mock_without_a_name_is_called_by_its_place() -> None:
    assert Observed().call(CHAT, chat_request("anonymous")).mock == "mocks[1]"


def test_the_words_of_the_user_end_with_a_tool_result() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "weather"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "15 degrees"},
    ]
    made = Observed().call(CHAT, {"model": "m", "messages": messages})

    assert (made.user, made.text, made.step) == ("", "15 degrees", 2)


def test_a_request_that_is_no_prompt_has_no_words() -> None:
    call = Observed().call("/v1/moderations", {"input": "hi"})

    assert (call.api, call.model, call.user, call.text, call.system) == (None, None, "", "", "")
    assert (call.tools, call.messages, call.turn, call.step) == ((), (), None, None)
    assert (call.input_tokens, call.output_tokens, call.body) == (0, 0, {"input": "hi"})


@pytest.mark.parametrize(
    ("body", "read"), [(b"", None), (b"{", "{"), (b"\xff\xfe", "\ufffd\ufffd"), (b"[1]", [1])]
)
def test_an_invalid_body_is_a_text(body: bytes, read: Any) -> None:
    call = Observed().call(CHAT, body)

    assert (call.body, call.status, call.api, call.user) == (read, 400, "chat", "")


def test_the_turn_of_a_conversation_that_is_not_known_is_not_told() -> None:
    body = responses_request("the weather", previous_response_id="resp_1")
    call = Observed().call(PATHS["responses"], body)

    assert (call.turn, call.user, call.mock) == (None, "the weather", "weather")


def test_the_turn_of_a_conversation_that_is_found_is_told() -> None:
    def find(response_id: str, session: str) -> Earlier:
        assert (response_id, session) == ("resp_1", "a")
        return Earlier(answers=4, step=2)

    observed = Observed(journal=Journal(find_earlier=find))
    body = responses_request("the weather", previous_response_id="resp_1")
    call = observed.call(f"/session/a{PATHS['responses']}", body)

    assert (call.turn, call.step) == (5, 1)


def test_without_mocks_there_is_no_closest_one() -> None:
    call = Observed({}).call(CHAT, chat_request("hi"))

    assert (call.outcome, call.near_miss) == ("no match", "there are no mocks of this API")


def test_a_session_and_its_prefix_are_told_apart() -> None:
    call = Observed().call(f"/session/test-1{CHAT}", chat_request("weather"))

    assert (call.session, call.path, call.user) == ("test-1", CHAT, "weather")


def test_a_model_in_the_path_is_read() -> None:
    path = "/openai/deployments/gpt-4o/chat/completions"
    call = Observed().call(path, {"messages": [{"role": "user", "content": "weather"}]})

    assert (call.api, call.model, call.user) == ("chat", "gpt-4o", "weather")


def test_the_attempt_is_what_the_sdk_counts() -> None:
    call = Observed().call(CHAT, chat_request("hi"), {"x-stainless-retry-count": "2"})

    assert call.attempt == 3


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (End.COMPLETE, "complete"),
        (End.CLEAN, "clean"),
        (End.CUT, "cut"),
        (End.RESET, "reset"),
        (End.HANG, "hang"),
        (End.CLIENT_GONE, "client_gone"),
        (End.FAILED, "error"),
    ],
)
def test_every_end_of_a_delivery_has_a_word(end: End, word: str) -> None:
    observed = Observed()
    observed.ask(request(CHAT, chat_request("hi")), end)

    assert observed.journal.read().calls[0].delivery == word


def test_times_are_those_of_the_clock_on_the_wall() -> None:
    observed = Observed()
    observed.ask(request(CHAT, chat_request("hi")))
    (entry, *_), *_ = observed.journal.since(0, None)
    call = Call(entry, epoch=1_000.0)

    assert (call.started, call.ttft, call.ended) == (1_001.0, 0.25, 1_001.5)


# --- Credentials ----------------------------------------------------------------------------------

SENT = {
    "authorization": f"Bearer {SECRET}",
    "x-api-key": SECRET,
    "Cookie": f"a={SECRET}",
    "x-upstream": f"use {SECRET}",
}
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "user", "content": f"weather, my key is {SECRET}"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"password": "swordfish"}'},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": "https://u:swordfish@host/?sig=swordfish",
        },
    ],
    "metadata": {"api_key": "swordfish", "note": "Bearer swordfish.1"},
}


def everywhere(call: Call) -> str:
    methods = ("sent_credential", "is_beside")
    names = [name for name in dir(type(call)) if not name.startswith("_")]
    return repr([call, *(getattr(call, name) for name in names if name not in methods)])


@pytest.mark.parametrize("path", [CHAT, f"/v1/{SECRET}/chat/completions"])
def test_credentials_are_nowhere_in_a_call(path: str) -> None:
    observed = Observed()
    observed.ask(request(path, BODY, SENT, query=f"key={SECRET}&api-version=1"))
    call = observed.journal.read().calls[0]

    assert SECRET not in everywhere(call)
    assert "swordfish" not in everywhere(call)
    assert call.headers["anthropic-version"] == "2023-06-01"


PASSWORD = "Zq7hN2kP9xW4vB8mT3rL6sD1"  # which nothing but its place tells from other words
MCP = {"type": "mcp", "server_label": "a", "server_url": f"https://h/mcp?api_key={PASSWORD}"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat_request("hi", metadata={"subscription_key": PASSWORD})),
        (CHAT, chat_request("hi", metadata={"passphrase": PASSWORD})),
        (CHAT, chat_request(json.dumps({"a": json.dumps({"api_key": PASSWORD})}))),
        (CHAT, chat_request(json.dumps({"a": json.dumps({"b": json.dumps({"jwt": PASSWORD})})}))),
        (
            PATHS["responses"],
            {"model": "m", "input": "hi", "tools": [{**MCP, "headers": {"X-Tenant": PASSWORD}}]},
        ),
        (
            PATHS["messages"],
            messages_request("hi", mcp_servers=[{"name": "a", "authorization_token": PASSWORD}]),
        ),
    ],
)
def test_credentials_are_known_by_their_places(path: str, body: Any) -> None:
    call = Observed().call(path, body)

    assert PASSWORD not in everywhere(call)
    assert "***" in json.dumps(call.body)


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://user:{PASSWORD}@host/db",
        json.dumps({"a": json.dumps({"api_key": PASSWORD})}),
        f'the arguments were {{"api_key": "{PASSWORD}, and then they end',
        f"API_KEY={PASSWORD}",
    ],
)
def test_credentials_are_not_in_a_near_miss(text: str) -> None:
    observed = Observed({"mocks": [{"match": {"user": "Hello"}, "reply": "Hi"}]})

    call = observed.call(CHAT, chat_request(text))

    assert "expected 'Hello'" in str(call.near_miss)
    assert PASSWORD[:6] not in everywhere(call)


@pytest.mark.parametrize(
    ("path", "body", "query"),
    [
        (CHAT, {**chat_request("hi"), "model": PASSWORD}, ""),
        (CHAT, {**chat_request("hi"), "user": PASSWORD}, ""),
        (CHAT, {**chat_request("hi"), PASSWORD: 1}, ""),
        (CHAT, chat_request("hi"), f"after={PASSWORD}"),
        (CHAT, chat_request(f"is {PASSWORD} my key?"), ""),
        (f"/session/{PASSWORD}{CHAT}", chat_request("hi"), ""),
    ],
)
def test_the_credential_of_a_request_is_nowhere_else_in_it(
    path: str, body: Any, query: str
) -> None:
    observed = Observed()
    sent = {"authorization": f"Bearer {PASSWORD}", "x-tenant": PASSWORD}
    observed.ask(request(path, body, sent, query=query))
    call = observed.journal.read().calls[0]

    assert PASSWORD not in everywhere(call)
    assert call.sent_credential(PASSWORD)


def test_the_schema_of_a_tool_is_no_credential() -> None:
    schema = {"headers": {"type": "object"}, "password": {"type": "string"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": schema}}}

    call = Observed().call(CHAT, chat_request("hi", tools=[tool]))

    assert call.body["tools"] == [tool]


def test_credentials_are_not_in_an_invalid_body() -> None:
    call = Observed().call(CHAT, f'{{"api_key": "{SECRET}", '.encode(), SENT)

    assert SECRET not in everywhere(call)


def test_a_short_credential_does_not_hide_words() -> None:
    call = Observed().call(CHAT, chat_request("any weather"), {"authorization": "Bearer any"})

    assert call.user == "any weather"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-a"},
        {"authorization": "sk-a"},
        {"authorization": "", "x-api-key": "sk-a"},
        {"api-key": "sk-a"},
        {"authorization": "any", "x-litellm-api-key": "Bearer sk-a"},
    ],
)
def test_a_credential_can_be_compared_with(headers: dict[str, str]) -> None:
    call = Observed().call(CHAT, chat_request("hi"), headers)

    assert call.sent_credential("sk-a")
    assert [call.sent_credential(each) for each in ("sk-b", "", "sk")] == [False] * 3


def test_a_credential_in_the_query_can_be_compared_with() -> None:
    observed = Observed()
    observed.ask(request(CHAT, chat_request("hi"), query="api-key=sk-q"))
    observed.ask(request(CHAT, chat_request("hi"), query="access_token=sk-r"))

    first, second = observed.journal.read().calls
    assert first.sent_credential("sk-q")
    assert second.sent_credential("sk-r")


def test_headers_are_found_whatever_their_case() -> None:
    headers = CallHeaders({"x-tenant": "a"})

    assert (headers["X-Tenant"], headers.get("x-other"), len(headers)) == ("a", None, 1)
    assert repr(headers) == "{'x-tenant': 'a'}"
    assert "X-TENANT" in headers


def test_a_call_is_shown_in_one_line() -> None:
    call = Observed().call(CHAT, chat_request("weather"))

    assert repr(call) == "<Call POST /v1/chat/completions 200 'weather' attempt=1>"


def test_the_traffic_that_changed_an_answer_is_named() -> None:
    entries = [
        {"name": "outage", "match": {"user": "weather"}, "error": "overloaded"},
        {"latency": {"ttft": 1}, "fault": {"pause": 1}},
    ]
    observed = Observed({"mocks": [{"reply": "ok"}], "traffic": entries})

    hit = observed.call("/v1/chat/completions", chat_request("weather"))
    slow = observed.call("/v1/chat/completions", chat_request("other"))

    assert (hit.traffic, hit.outcome, hit.mock, hit.is_unmatched) == (
        ("outage",),
        "traffic",
        None,
        False,
    )
    assert (slow.traffic, slow.outcome) == (("traffic[1]",), "matched")
    assert observed.call("/v1/chat/completions", b"{").traffic == ()
