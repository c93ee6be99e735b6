"""Echoes: a response repeats the members of its request, as the service does, wherever the mock
does not say otherwise."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.providers.contents import PARTS_AT_ONCE
from mockllm.providers.openai.responses import echo
from mockllm.providers.openai.responses.answer import complete
from mockllm.wire import jsontext
from mockllm.wire.tokens import EstimatedBody
from tests.support.apps import LoneApp
from tests.support.goldens import FRESH
from tests.support.served import Json, responses_mock, responses_saying

HEADERS = ((b"authorization", b"Bearer any"),)
REQUEST: Json = {
    "background": True,
    "frequency_penalty": 0.5,
    "instructions": "Be brief.\u2028Be kind.",
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "metadata": {"run": "1"},
    "parallel_tool_calls": False,
    "presence_penalty": -0.5,
    "previous_response_id": "resp_before",
    "prompt_cache_key": "key",
    "prompt_cache_retention": "in_memory",
    "safety_identifier": "someone",
    "store": False,
    "temperature": 0.25,
    "tool_choice": {"type": "function", "name": "f"},
    "top_logprobs": 5,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "me",
}
"""Members that the service repeats unchanged."""
MADE_OF: list[tuple[str, Any, Any]] = [
    ("conversation", "conv_1", {"id": "conv_1"}),
    ("conversation", {"id": "conv_1"}, {"id": "conv_1"}),
    ("prompt", {"id": "pmpt_1", "version": "2"}, {"id": "pmpt_1", "version": "2"}),
    ("prompt_cache_options", {"mode": "explicit"}, {"mode": "explicit"}),
    ("reasoning", {"effort": "low"}, {"context": None, "effort": "low", "summary": None}),
    ("service_tier", "auto", "default"),
    ("service_tier", "fast", "priority"),
    ("service_tier", "flex", "flex"),
    ("temperature", 0, 0.0),
    ("text", {"verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
    ("text", {"format": None}, {"format": {"type": "text"}, "verbosity": "medium"}),
    (
        "text",
        {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        {
            "format": {
                "type": "json_schema",
                "description": None,
                "name": "n",
                "schema": {"type": "object"},
                "strict": False,
            },
            "verbosity": "medium",
        },
    ),
    (
        "tools",
        [{"type": "function", "name": "f", "parameters": {}}],
        [
            {
                "type": "function",
                "description": None,
                "name": "f",
                "output_schema": None,
                "parameters": {},
                "strict": True,
            }
        ],
    ),
    *((name, None, default) for name, default in echo.DEFAULTS.items() if name[:7] != "initial"),
]
"""A member, its value in the request, and what the service makes of it."""
FILLED_LATER = b"\xfe" * 10


def app(response: Json | None = None) -> LoneApp:
    mock = responses_mock("hi", responses_saying("ho") | (response or {}))
    return LoneApp(Engine(load(Config.from_dict({"openai_response": [mock]}))))


def answered(app: LoneApp, **members: Any) -> bytes:
    """The body of the answer, and the response is stored."""
    body = jsontext.dumps({"model": "m", "input": "hi", **members})
    request = Request.of("POST", "/v1/responses", HEADERS, body)
    decision = app.decide(request)
    app.responses.store(request, decision, FRESH)
    return b"".join(step.data for step in decision.reply.steps)


def whole(app: LoneApp, **members: Any) -> Json:
    response: Json = orjson.loads(answered(app, **members).replace(FILLED_LATER, b"1"))
    return response


def streamed(app: LoneApp, **members: Any) -> list[Json]:
    """The responses in response.created, response.in_progress and response.completed."""
    text = answered(app, stream=True, **members).replace(FILLED_LATER, b"1").replace(b"\xff", b"0")
    events = [orjson.loads(line[6:]) for line in text.split(b"\n") if line.startswith(b"data: ")]
    return [event["response"] for event in events if "response" in event]


def test_a_response_repeats_its_request() -> None:
    response = whole(app({"id": "resp_1", "output": []}), **REQUEST)

    assert {name: response[name] for name in REQUEST} == REQUEST


def test_every_response_in_a_stream_repeats_its_request() -> None:
    responses = streamed(app(), **REQUEST)

    assert len(responses) == 3
    for response in responses:
        assert {name: response[name] for name in REQUEST} == REQUEST


@pytest.mark.parametrize(("name", "requested", "repeated"), MADE_OF)
def test_a_response_has_what_the_service_makes_of_a_member(
    name: str, requested: Any, repeated: Any
) -> None:
    response = whole(app({"id": "resp_1", "output": []}), **{name: requested})

    assert response[name] == repeated
    assert repr(response[name]) == repr(repeated)  # 0.0 is not 0, and the order of members counts


def test_a_member_that_only_some_requests_have_follows_its_predecessor() -> None:
    members = {"conversation": "c", "prompt": {"id": "p"}, "prompt_cache_options": {"ttl": "30m"}}

    for response in [*streamed(app(), **members), whole(app({"id": "r", "output": []}), **members)]:
        names = list(response)
        for member, optional in echo.FOLLOWED_BY.items():
            assert names[names.index(member) + 1] == optional

    assert not members.keys() & whole(app({"id": "r", "output": []})).keys()


@pytest.mark.parametrize(
    ("requested", "tiers"),
    [
        ({}, ["auto", "auto", "default"]),
        ({"service_tier": "auto"}, ["auto", "auto", "default"]),
        ({"service_tier": "flex"}, ["flex", "flex", "flex"]),
        ({"service_tier": "fast"}, ["fast", "fast", "priority"]),
    ],
)
def test_the_tier_is_chosen_after_the_first_events(requested: Json, tiers: list[str]) -> None:
    assert [response["service_tier"] for response in streamed(app(), **requested)] == tiers


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_mock_says_wins(stream: bool) -> None:
    written: Json = {
        "id": "resp_1",
        "output": [],
        "instructions": None,
        "temperature": 0.75,
        "tools": [],
        "conversation": None,
        "completed_at": 7,
        "service_tier": "scale",
    }
    requested = {
        "instructions": "Be brief.",
        "temperature": 0.25,
        "tools": [{"type": "web_search"}],
        "conversation": "conv_1",
        "service_tier": "flex",
        "user": "me",
    }
    one = app(written)

    response = streamed(one, **requested)[-1] if stream else whole(one, **requested)

    assert {name: response[name] for name in written} == written
    assert response["user"] == "me"


def test_a_member_that_the_mock_says_is_not_even_encoded() -> None:
    assert echo.echoed({"tools": [{}], "user": "me"}, frozenset({"user"})) == {"user": b'"me"'}


def test_a_request_without_such_members_echoes_nothing() -> None:
    assert not echo.echoed({"model": "m", "input": "x", "unknown": 1}, None)


def test_a_stored_response_repeats_its_request_when_it_is_retrieved() -> None:
    one = app({"id": "resp_1"})
    requested = REQUEST | {"store": True, "conversation": "conv_1"}
    answered(one, **requested)

    got = one.decide(Request.of("GET", "/v1/responses/resp_1", HEADERS))
    response = orjson.loads(got.reply.body)

    assert {name: response[name] for name in REQUEST} == REQUEST | {"store": True}
    assert response["conversation"] == {"id": "conv_1"}


def test_a_generated_answer_repeats_its_request() -> None:
    one = LoneApp(Engine(load(Config()), echo=lambda prompt: prompt.text))

    assert [response["user"] for response in streamed(one, user="me")] == ["me"] * 3


def test_equal_requests_get_equal_echoes_and_others_their_own() -> None:
    one = app({"id": "resp_1", "output": []})

    users = [whole(one, user=user)["user"] for user in ("a", "a", "b", None, "a", None, "b")]

    assert users == ["a", "a", "b", None, "a", None, "b"]


def test_large_members_are_repeated_whole() -> None:
    tools = [
        {"type": "function", "name": f"f{number}", "parameters": {"x": "é" * 1000}, "strict": False}
        for number in range(100)
    ]

    for response in streamed(app(), tools=tools):
        assert [tool["parameters"] for tool in response["tools"]] == [
            tool["parameters"] for tool in tools
        ]


@pytest.mark.parametrize("number", [PARTS_AT_ONCE, PARTS_AT_ONCE + 1, 3 * PARTS_AT_ONCE])
def test_many_tools_are_written_with_pauses_as_at_once(number: int) -> None:
    tools = [{"type": "function", "name": f"f{place}"} for place in range(number)]
    body = EstimatedBody(tools=tools, user="me")

    at_once = echo.echoed(body, None)
    pieces, pauses = echo.echo_long(body), 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            body.echoes = end.value
            break
        pauses += 1

    assert pauses == (0 if number == PARTS_AT_ONCE else -(-number // PARTS_AT_ONCE))
    assert body.echoes == ({"tools": at_once["tools"]} if pauses else {})
    assert echo.echoed(body, None) == at_once


def test_the_tools_of_a_large_request_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def normalise(some: list[Json]) -> list[Json]:
        sizes.append(len(some))
        return some

    monkeypatch.setattr("mockllm.providers.openai.responses.tools.normalise", normalise)
    tools = [{"type": "function", "name": f"f{place}"} for place in range(5 * PARTS_AT_ONCE)]

    responses = streamed(app(), tools=tools)

    assert [response["tools"] for response in responses] == [tools] * 3
    assert sizes == [PARTS_AT_ONCE] * 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("tools", "x"), ("tools", [1]), ("text", []), ("reasoning", 1), ("conversation", 1)],
)
def test_a_value_of_another_type_is_repeated_unchanged(name: str, value: Any) -> None:
    text = echo.echoed({name: value}, None)[name]

    assert text.endswith(orjson.dumps(value))


def test_completing_a_response_twice_echoes_once() -> None:
    once = complete({})

    assert jsontext.dumps(complete(once)) == jsontext.dumps(once)
